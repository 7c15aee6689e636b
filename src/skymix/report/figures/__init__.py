"""Figures of the report; each function takes arrays and gives a matplotlib figure."""
