"""What a death took with it, what is done about it, and what came back. Pure."""
