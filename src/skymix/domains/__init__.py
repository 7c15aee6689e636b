"""Kinds of data: each reads its observations and marginalises its components."""
