"""C4: a disk that is full; C5: a place that is read-only or gone. While a run trains, on a small disk of its own."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from puffer_core.checkpoints.manifest import Header, ResumeEntry
from puffer_core.checkpoints.reading import completed, is_sound, load
from puffer_core.checkpoints.writing import Saved, save
from puffer_core.cli.main import main
from puffer_core.errors import ResourceError
from puffer_core.plugins import PluginHost
from puffer_core.run import saving
from puffer_core.run.display import Silent
from puffer_core.run.loop import execute
from puffer_testing.loading import load_module

Injecting = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def plans() -> ModuleType:
    """The tiny runs of the tests beside these."""
    module = load_module(Path(__file__).parents[1] / "run" / "plans.py", "puffer_core_run_plans")
    module.parts()
    return module


@pytest.fixture
def host(plans: ModuleType) -> PluginHost:
    host = PluginHost.discover(third_party=False, environ={})
    plans.register(host)
    return host


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


class Acting(Silent):
    """Does something at certain updates; keeps the messages."""

    def __init__(self, acts: dict[int, Callable[[], object]]) -> None:
        self.acts, self.messages, self.steps = acts, [], []

    def update(self, step: int, metrics: Any) -> None:
        self.steps.append(step)
        self.acts.get(step, lambda: None)()

    def message(self, text: str) -> None:
        self.messages.append(text)

    def about_saving(self) -> list[str]:
        return [text for text in self.messages if "saved" in text or "checkpoint" in text]


def fill(disk: Path, leave: int = 0) -> None:
    """Leave so many bytes free, or less."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        file.write(bytes(max(0, shutil.disk_usage(disk).free - leave)))


@pytest.fixture(autouse=True)
def retried_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny run takes milliseconds; a pause of a second would outlast it."""
    monkeypatch.setattr(saving, "_SHORTEST_PAUSE", 0.0)


FULL = ("C4", "disk full while a run trains",
        "one warning with needed and free bytes; training goes on, saved when there is room; older ones intact",
        )  # fmt: skip
TO_THE_END = ("C4", "disk full until the run's end", "exit 6, needed and free bytes; older checkpoints intact")


def test_training_goes_on_when_the_disk_is_full_and_saves_when_there_is_room(
    disk: Path, plans: ModuleType, host: PluginHost, injecting: Injecting
) -> None:
    run = disk / "run"
    display = Acting({24: lambda: fill(disk), 64: (disk / "ballast").unlink})
    with injecting(*FULL) as row:
        execute(plans.plan(run, total_steps=96, checkpoint_every=8, keep_last=0), host, display=display)
        row.took(0.0)
    assert display.steps == list(range(8, 97, 8))
    steps = [load(path).manifest.step for path in completed(run / "checkpoints")]
    assert steps == [8, 16, 64, 72, 80, 88, 96]
    warning, again = display.about_saving()
    assert "No space left on device" in warning
    assert "it needs" in warning
    assert "0 are free" in warning
    assert "the last checkpoint is step-000000000016" in warning
    assert "after 5 attempts that failed" in again
    assert not list((run / "checkpoints").glob(".*"))


def test_a_run_whose_last_save_fails_ends_with_exit_code_6(
    disk: Path, plans: ModuleType, host: PluginHost, injecting: Injecting
) -> None:
    display = Acting({24: lambda: fill(disk)})
    with injecting(*TO_THE_END) as row:
        with pytest.raises(ResourceError, match=r"No space left on device; it needs [\d,]+ bytes, 0 are free") as ended:
            execute(plans.plan(disk / "run", total_steps=48, checkpoint_every=8), host, display=display)
        row.took(0.0)
    assert ended.value.exit_code == 6
    assert display.steps[-1] == 48
    assert [is_sound(path) for path in completed(disk / "run" / "checkpoints")] == [True, True]
    assert not list((disk / "run" / "checkpoints").glob(".*"))


def test_the_command_says_what_it_needed(disk: Path, injecting: Injecting, capsys: pytest.CaptureFixture[str]) -> None:
    fill(disk, leave=80 << 10)  # the run's own files fit, its checkpoint does not
    with injecting(*TO_THE_END) as row:
        argv = "train ppo cartpole --total-steps 256 --vector.num-envs 4 --eval-episodes 1 --quiet --run"
        code = main([*argv.split(), str(disk / "run")])
        row.took(0.0)
    error = capsys.readouterr().err
    assert code == 6, error
    assert "No space left on device; it needs" in error
    assert "Traceback" not in error


def immutable(place: Path) -> Callable[[], object]:
    def act() -> None:
        subprocess.run(["chattr", "+i", str(place)], check=True, capture_output=True)

    return act


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    """A place that can be made read-only for everybody, root included."""
    place = tmp_path / "place"
    place.mkdir()
    tried = subprocess.run(["chattr", "+i", str(place)], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"directories cannot be made immutable here: {tried.stderr.strip()}")
    subprocess.run(["chattr", "-i", str(place)], check=True)
    yield place
    subprocess.run(["chattr", "-R", "-i", str(place)], check=True)


GONE = ("C5", "the checkpoints' directory read-only, or gone, while a run trains",
        "told at the next save; training goes on; exit 6 if the last save fails, too")  # fmt: skip


@pytest.mark.parametrize("mended", [True, False])
def test_a_directory_that_becomes_read_only(
    unwritable: Path, plans: ModuleType, host: PluginHost, injecting: Injecting, mended: bool
) -> None:
    checkpoints = unwritable / "run" / "checkpoints"
    acts: dict[int, Callable[[], object]] = {24: immutable(checkpoints)}
    if mended:
        acts[40] = lambda: subprocess.run(["chattr", "-i", str(checkpoints)], check=True)
    display = Acting(acts)
    plan = plans.plan(unwritable / "run", total_steps=48, checkpoint_every=8, keep_last=0)
    with injecting(*GONE) as row:
        if mended:
            execute(plan, host, display=display)
        else:
            with pytest.raises(ResourceError, match="not permitted"):
                execute(plan, host, display=display)
        row.took(0.0)
    assert "not permitted" in display.about_saving()[0]
    assert [load(path).manifest.step for path in completed(checkpoints)] == ([8, 16, 40, 48] if mended else [8, 16])


@pytest.mark.parametrize("then", ["comes back", "stays away", "is replaced"])
def test_a_run_that_is_moved_away(
    tmp_path: Path, plans: ModuleType, host: PluginHost, injecting: Injecting, then: str
) -> None:
    run, moved, back = tmp_path / "run", tmp_path / "moved", then == "comes back"
    acts: dict[int, Callable[[], object]] = {24: lambda: run.rename(moved)}
    if back:
        acts[40] = lambda: moved.rename(run)
    elif then == "is replaced":  # as a logger may do
        acts[32] = run.mkdir
    display = Acting(acts)
    plan = plans.plan(run, total_steps=48, checkpoint_every=8, keep_last=0)
    with injecting(*GONE) as row:
        if back:
            execute(plan, host, display=display)
        else:
            with pytest.raises(ResourceError, match=f"{run}: the run's directory was removed or moved away"):
                execute(plan, host, display=display)
        row.took(0.0)
    assert "was removed or moved away" in display.about_saving()[0]
    where = (run if back else moved) / "checkpoints"
    assert [load(path).manifest.step for path in completed(where)] == ([8, 16, 40, 48] if back else [8, 16])
    assert run.exists() is back, "nothing was left in what replaced it"


def test_a_checkpoints_directory_that_is_gone_is_made_again(
    tmp_path: Path, plans: ModuleType, host: PluginHost, injecting: Injecting
) -> None:
    checkpoints = tmp_path / "run" / "checkpoints"
    display = Acting({24: lambda: checkpoints.rename(tmp_path / "moved")})
    with injecting(*GONE) as row:
        execute(plans.plan(tmp_path / "run", total_steps=40, checkpoint_every=8, keep_last=2), host, display=display)
        row.took(0.0)
    assert display.about_saving() == []
    assert [load(path).manifest.step for path in completed(checkpoints)] == [32, 40]


def test_a_read_only_disk_is_named(disk: Path, injecting: Injecting) -> None:
    resume = ResumeEntry(bitwise=True, reasons=[])
    header = Header(
        step=1, unit="env_steps", run_id="r", config_hash="", policy=None, plugins=[], runtime={}, resume=resume
    )
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with injecting(*GONE) as row:
        with pytest.raises(ResourceError, match=os.strerror(errno.EROFS)):
            save(disk / "checkpoints", header, {"policy": Saved({}, "m:Policy")})
        row.took(0.0)
