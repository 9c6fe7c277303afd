"""Encoders: from the parts of an observation to features."""
