"""Where sandboxes run: the seam, and its two implementations."""
