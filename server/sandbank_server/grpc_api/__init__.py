"""The public API: thin servicers, and what goes on around every call."""
