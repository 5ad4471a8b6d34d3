"""What is in a session: variables, their values, places in its code, files."""
