"""C17: checkpoints that released versions wrote load, give the recorded actions, and are gone on from."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from puffer_core import api

pytest.importorskip("puffer_ppo")
pytest.importorskip("puffer_env_native")

RELEASED = sorted(
    path.parent for path in (Path(__file__).parents[1] / "fixtures" / "checkpoints").glob("*/actions.json")
)


@pytest.mark.parametrize("place", RELEASED, ids=lambda place: place.name)
def test_what_a_release_wrote_acts_as_it_did_and_goes_on(
    place: Path, tmp_path: Path, injecting: Callable[..., AbstractContextManager[Any]]
) -> None:
    with injecting("C17", "files of every released version", "load and give the recorded actions") as row:
        start = time.perf_counter()
        run = Path(shutil.copytree(place / "run", tmp_path / "run"))
        recorded = json.loads((place / "actions.json").read_text())
        assert api.load_policy(run)(recorded["observations"]).tolist() == recorded["actions"]
        assert len(set(recorded["actions"])) > 1
        assert api.resume(run, total_steps=160).latest.name == "step-000000000160"
        row.took(time.perf_counter() - start)


def test_there_is_one() -> None:
    assert RELEASED
