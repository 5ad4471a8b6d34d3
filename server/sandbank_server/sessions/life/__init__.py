"""One session from its creation to its end: its sandbox, its use, its checkpoints, its recoveries."""
