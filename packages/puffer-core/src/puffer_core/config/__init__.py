"""Configuration: a typed tree, set by a file, variables, flags and Python, and checked as a whole."""

from __future__ import annotations

from puffer_core.config.resolve import plan_of, resolve

__all__ = ["plan_of", "resolve"]
