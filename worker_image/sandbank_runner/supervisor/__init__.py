"""The supervisor: PID 1 of a sandbox. It never runs user code."""
