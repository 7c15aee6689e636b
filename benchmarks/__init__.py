"""Measurements of speed and accuracy, run by ``python -m benchmarks [ONLY]``."""
