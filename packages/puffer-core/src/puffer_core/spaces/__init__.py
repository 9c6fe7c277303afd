"""Spaces: how values of a space lie in the row of an array, and as JSON."""
