"""Gamma-ray observations: events with energy and direction, seen through an instrument response."""
