"""Sessions: their life, their operations, their operation log."""
