"""Measurements, beside their baselines in the same run: `make bench`. No timed tests: figures decide nothing here."""
