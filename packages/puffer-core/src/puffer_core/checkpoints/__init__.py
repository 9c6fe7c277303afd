"""Checkpoints: written whole or not at all, checked when they are read, kept and removed by a rule."""
