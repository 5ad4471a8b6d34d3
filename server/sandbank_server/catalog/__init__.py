"""The metadata database: what must be known after a restart and asked for by tenant."""
