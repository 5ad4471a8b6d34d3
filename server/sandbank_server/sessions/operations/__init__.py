"""The operations and transactions of one session: submitted once, watched by anybody, ended whatever dies."""
