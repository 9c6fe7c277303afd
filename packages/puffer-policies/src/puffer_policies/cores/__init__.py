"""Cores: what remembers."""
