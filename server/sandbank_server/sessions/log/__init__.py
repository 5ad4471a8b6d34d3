"""The operation log: what the control plane knows of a session's operations, whatever dies."""
