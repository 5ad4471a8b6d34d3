"""What runs inside a sandbox: supervisor, template process and interpreters."""
