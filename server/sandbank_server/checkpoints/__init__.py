"""Checkpoints: what is kept of a session's state, where, and for how long."""
