"""The link to the supervisor of one sandbox."""
