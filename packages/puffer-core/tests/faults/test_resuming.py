"""C8, C13, C16, C18, and whatever else can be wrong with a run that is to go on: through the real command line."""

from __future__ import annotations

import json
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pytest

from puffer_core import api
from puffer_core.checkpoints.manifest import Manifest, sealed
from puffer_core.checkpoints.reading import MANIFEST
from puffer_core.cli.main import main
from puffer_core.run.directory import Run

pytest.importorskip("puffer_ppo")
pytest.importorskip("puffer_env_native")

Injecting = Callable[..., AbstractContextManager[Any]]
TRAIN = [
    *("train", "ppo", "cartpole", "--total-steps", "128", "--checkpoint-every", "32", "--keep-last", "0", "--quiet"),
    *("--horizon", "16", "--minibatches", "2", "--vector.num-envs", "2", "--policy.hidden-sizes", "8"),
    *("--eval-episodes", "2"),
]
STEPS = ("step-000000000032", "step-000000000064", "step-000000000096", "step-000000000128")


class Said(NamedTuple):
    code: int
    err: str


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "run"
    assert main([*TRAIN, "--run", str(path)]) == 0
    assert tuple(found.name for found in Run(path).checkpoints) == STEPS
    return path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A finished run of 4 checkpoints."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def puffer(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def command(*argv: object) -> Said:
        capsys.readouterr()
        code = main([str(argument) for argument in argv])
        return Said(code, capsys.readouterr().err)

    return command


def at(run: Path, step: str) -> Path:
    return run / "checkpoints" / step


def forge(path: Path, **changes: Any) -> None:
    """Change what a manifest says, and seal it anew."""
    said = json.loads((path / MANIFEST).read_bytes()) | changes
    (path / MANIFEST).write_bytes(sealed(Manifest.model_validate(said)))


def content(run: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file() and path.name != "run.lock"
    }


# --- C8


def flipped(path: Path) -> None:
    file = path / "policy.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def emptied(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (flipped, "policy.safetensors is damaged"),
    "no manifest": (lambda path: (path / MANIFEST).unlink(), "it has no manifest.json"),
    "a manifest cut short": (lambda path: (path / MANIFEST).write_bytes((path / MANIFEST).read_bytes()[:99]), MANIFEST),
    "a file gone": (lambda path: (path / "streams.json").unlink(), "files are missing: streams.json"),
    "a file too many": (lambda path: (path / "extra.json").touch(), "does not list: extra.json"),
    "nothing in it": (emptied, "it has no manifest.json"),
    "an older one under its name": (
        lambda path: (shutil.rmtree(path), shutil.copytree(at(path.parents[1], STEPS[0]), path)),
        "its directory was renamed",
    ),
}
FELL_BACK = "falls back with a warning naming both; never silently from scratch"


@pytest.mark.parametrize("how", [*DAMAGE][:2] + [pytest.param(how, marks=pytest.mark.faults) for how in [*DAMAGE][2:]])
def test_a_damaged_latest_is_passed_over_with_a_warning_naming_both(
    run: Path, puffer: Callable[..., Said], injecting: Injecting, how: str
) -> None:
    damage, reason = DAMAGE[how]
    with injecting("C8", "latest checkpoints damaged", FELL_BACK) as row:
        damage(at(run, STEPS[3]))
        start = time.perf_counter()
        said = puffer("resume", run)
        row.took(time.perf_counter() - start)
        assert said.code == 0, said.err
        warning = next(line for line in said.err.splitlines() if STEPS[3] in line)
        assert reason in warning
        assert f"goes on from {STEPS[2]}" in warning
        assert [line["step"] for line in Run(run).metrics] == [32, 64, 96, 128]
        assert puffer("checkpoints", "verify", run).code == 0
        assert json.loads((run / "resumes.jsonl").read_text())["checkpoint"] == STEPS[2]


def test_every_damaged_one_is_named(run: Path, puffer: Callable[..., Said], injecting: Injecting) -> None:
    with injecting("C8", "latest checkpoints damaged", FELL_BACK) as row:
        for step in STEPS[1:]:
            flipped(at(run, step))
        start = time.perf_counter()
        said = puffer("resume", run)
        row.took(time.perf_counter() - start)
        assert said.code == 0
        assert all(f"{step}: policy.safetensors is damaged" in said.err for step in STEPS[1:])
        assert said.err.count(f"goes on from {STEPS[0]}") == 3


@pytest.mark.parametrize("auto", [False, True])
def test_none_that_is_sound_is_an_error_and_nothing_starts_anew(
    run: Path, puffer: Callable[..., Said], injecting: Injecting, auto: bool
) -> None:
    with injecting("C8", "all checkpoints damaged", "exit 4, each is named; never from scratch") as row:
        for step in STEPS:
            flipped(at(run, step))
        before = content(run)
        start = time.perf_counter()
        said = puffer(*([*TRAIN, "--run", run, "--resume", "auto"] if auto else ["resume", run]))
        row.took(time.perf_counter() - start)
        assert said.code == 4
        assert "none of its checkpoints is sound" in said.err
        assert all(f"{step}: policy.safetensors is damaged" in said.err for step in STEPS)
        assert f"puffer checkpoints verify {run}" in said.err
        assert content(run) == before


# --- C13


@contextmanager
def held(run: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a run, once it does."""
    program = (
        "import sys; from pathlib import Path; from puffer_core.run.directory import hold; "
        "file = hold(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_and_told_who_holds_the_run(
    run: Path, puffer: Callable[..., Said], injecting: Injecting
) -> None:
    before = content(run)
    with held(run) as holder, injecting("C13", "two processes, one run directory", "refused; names the holder") as row:
        for argv in (
            ["resume", run],
            ["resume", run, "--total-steps", "256"],
            [*TRAIN, "--run", run, "--resume", "auto"],
            ["checkpoints", "prune", run, "--keep-last", "1"],
        ):
            start = time.perf_counter()
            said = puffer(*argv)
            row.took(time.perf_counter() - start)
            assert said.code == 6
            assert f'"pid": {holder.pid}' in said.err
        assert content(run) == before


def test_a_holder_that_was_killed_holds_nothing(run: Path, puffer: Callable[..., Said], injecting: Injecting) -> None:
    with injecting("C13", "the holder killed with SIGKILL", "the next process has the run at once") as row:
        with held(run) as holder:
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            start = time.perf_counter()
            said = puffer("resume", run, "--total-steps", "160")
        row.took(time.perf_counter() - start)
        assert said.code == 0, said.err
        assert Run(run).latest.name == "step-000000000160"


# --- C16


def test_nothing_is_ever_unpickled(
    run: Path, puffer: Callable[..., Said], injecting: Injecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("pickle was used")

    class Refusing(pickle.Unpickler):
        load = refuse

    for name in ("load", "loads", "_load", "_loads"):
        monkeypatch.setattr(pickle, name, refuse)
    for name in ("Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, Refusing)
    paths: dict[str, Callable[[], bool]] = {
        "train": lambda: puffer(*TRAIN, "--run", run.with_name("fresh")).code == 0,
        "resume": lambda: puffer("resume", run, "--total-steps", "160").code == 0,
        "auto": lambda: puffer(*TRAIN, "--run", run, "--resume", "auto", "--total-steps", "192").code == 0,
        "eval": lambda: puffer("eval", run, "--episodes", "2").code == 0,
        "load_policy": lambda: api.load_policy(run)(np.zeros(4, np.float32)) in (0, 1),
        "verify": lambda: puffer("checkpoints", "verify", run).code == 0,
        "inspect": lambda: puffer("checkpoints", "inspect", run).code == 0,
    }
    with injecting("C16", "pickle made to raise", "every load path still passes") as row:
        for name, works in paths.items():
            start = time.perf_counter()
            assert works(), name
            row.took(time.perf_counter() - start)


# --- C18


def gone(run: Path) -> None:
    """What the run was trained by was another distribution, which is not installed."""
    for path in Run(run).checkpoints:
        text = (path / MANIFEST).read_text().replace("puffer-ppo", "puffer-gone").replace('"ppo"', '"gone"')
        forge(path, **json.loads(text))
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"trainer": "gone"}))


def policy_gone(run: Path) -> None:
    for path in Run(run).checkpoints:
        forge(path, **json.loads((path / MANIFEST).read_text().replace("puffer-policies", "puffer-gone")))


@pytest.mark.parametrize(
    ("break_it", "argv"),
    [(gone, ["resume"]), (policy_gone, ["resume"]), (policy_gone, ["eval", "--episodes", "1"])],
)
def test_what_is_not_installed_is_named_with_the_command_that_installs_it(
    run: Path, puffer: Callable[..., Said], injecting: Injecting, break_it: Callable[[Path], None], argv: list[str]
) -> None:
    with injecting("C18", "a plugin of the checkpoint is not installed", "names the distribution, exit 4") as row:
        break_it(run)
        before = content(run)
        start = time.perf_counter()
        said = puffer(argv[0], run, *argv[1:])
        row.took(time.perf_counter() - start)
        assert said.code == 4
        assert "of puffer-gone 0.1.0, which is not installed" in said.err
        assert "pip install puffer-gone==0.1.0" in said.err
        assert content(run) == before


def test_what_is_switched_off_is_named(run: Path, puffer: Callable[..., Said], injecting: Injecting) -> None:
    with injecting("C18", "a plugin of the checkpoint is switched off", "names the distribution, exit 4") as row:
        start = time.perf_counter()
        said = puffer("-p", "no:puffer-ppo", "resume", run)
        row.took(time.perf_counter() - start)
        assert said.code == 4
        assert "of puffer-ppo 0.1.0, which is disabled" in said.err
        assert "puffer plugins show puffer-ppo" in said.err


# --- what bad input gets


def nothing_saved(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")


def newer(run: Path) -> None:
    path = at(run, STEPS[3]) / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"version": 2, "runtime": {"puffer-core": "7.0"}}))


def other_spaces(run: Path) -> None:
    for path in Run(run).checkpoints:
        policy = json.loads((path / MANIFEST).read_bytes())["policy"]
        box = policy["observation"] | {"shape": [6], "low": "-inf", "high": "inf"}
        forge(path, policy=policy | {"observation": box})


def no_config(run: Path) -> None:
    (run / "config.json").unlink()


def damaged_config(run: Path) -> None:
    (run / "config.json").write_text("{")


def all_missing(run: Path) -> None:
    for path in Run(run).checkpoints:
        emptied(path)


BAD: dict[str, tuple[Callable[[Path], None], list[str], tuple[str, ...]]] = {
    "not a run": (no_config, [], ("not the directory of a run: it has no config.json", "from a copy")),
    "a damaged configuration": (damaged_config, [], ("config.json: cannot be read",)),
    "never saved": (nothing_saved, [], ("never saved", "train anew")),
    "checkpoints without anything": (
        all_missing,
        [],
        ("none of its checkpoints is sound", "puffer checkpoints verify"),
    ),
    "newer than the program": (newer, [], ("format version 2", "install puffer-core 7.0", f"go on from {STEPS[2]}")),
    "other spaces": (
        other_spaces,
        ["--total-steps", "256"],
        ("observation: shape (6,) against (4,)", "train a new run"),
    ),
}


@pytest.mark.parametrize("how", BAD)
def test_bad_input_ends_with_4_the_path_the_reason_and_what_to_do(
    run: Path, puffer: Callable[..., Said], how: str
) -> None:
    break_it, argv, words = BAD[how]
    break_it(run)
    before = content(run)
    said = puffer("resume", run, *argv)
    assert said.code == 4, said.err
    assert str(run) in said.err
    for word in words:
        assert word in said.err
    assert "Traceback" not in said.err
    assert content(run) == before


def test_a_missing_run_is_told(tmp_path: Path, puffer: Callable[..., Said]) -> None:
    said = puffer("resume", tmp_path / "none")
    assert (said.code, "there is no such directory" in said.err) == (4, True)
    assert not (tmp_path / "none").exists()


def test_a_changed_option_is_refused_with_the_difference(run: Path, puffer: Callable[..., Said]) -> None:
    before = content(run)
    said = puffer("resume", run, "--learning-rate", "0.5", "--total-steps", "256")
    assert said.code == 2
    assert "learning_rate: 0.0" in said.err
    assert " in the run, 0.5 now" in said.err
    assert content(run) == before


def test_a_harmless_one_is_recorded(run: Path, puffer: Callable[..., Said]) -> None:
    assert puffer("resume", run, "--total-steps", "160", "--vector.mode", "native").code == 0
    recorded = json.loads((run / "resumes.jsonl").read_text())
    assert recorded["changes"].keys() == {"total_steps", "vector.mode"}
    assert recorded["step"] == 128
    assert Run(run).config["total_steps"] == 160


def test_a_full_disk_ends_with_6_and_costs_no_checkpoint(run: Path, puffer: Callable[..., Said]) -> None:
    (run / "resumes.jsonl").symlink_to("/dev/full")
    said = puffer("resume", run, "--total-steps", "160")
    assert said.code == 6
    assert f"{run}: the run's directory cannot be written: No space left on device" in said.err
    assert puffer("checkpoints", "verify", run).code == 0
