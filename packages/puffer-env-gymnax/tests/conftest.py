"""Everything here needs gymnax and the backend that runs it."""

from __future__ import annotations

import pytest

pytest.importorskip("gymnax")
pytest.importorskip("puffer_backend_jax")
