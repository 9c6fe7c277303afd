"""Runs as one self-contained HTML page.

The name is imported when it is first used: the plugin's module is in this package and has to be light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puffer_core.lazy import lazy_names

if TYPE_CHECKING:
    from puffer_report.report import write_report

__all__ = ["write_report"]

__getattr__ = lazy_names(__name__, {"write_report": "puffer_report.report"})
