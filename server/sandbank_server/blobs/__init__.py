"""Where bytes are kept for good: a local directory, or an object store that speaks S3."""
