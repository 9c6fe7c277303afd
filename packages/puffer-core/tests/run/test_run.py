from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from puffer_core import hookimpl
from puffer_core.checkpoints.reading import is_sound, load
from puffer_core.errors import CheckpointError, EnvError, PluginError, PufferError, UnsupportedError, UsageError
from puffer_core.plugins import PluginHost, Provided
from puffer_core.run import persistence
from puffer_core.run.context import RunContext
from puffer_core.run.directory import RunDirectory
from puffer_core.run.loop import execute
from puffer_core.run.record import RunRecord
from puffer_core.run.signals import RunStopped
from puffer_core.specs import BackendSpec, CheckpointableSpec, EnvSpec


def without_times(path: Path) -> str:
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    kept = [
        {key: value for key, value in line.items() if not key.startswith(("time/", "system/", "logger/"))}
        for line in lines
    ]
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()


def same_params(one: Path, other: Path) -> bool:
    a, b = (load(path, ["policy"]).states["policy"] for path in (one, other))
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


def test_a_trainer_that_trains_alone_is_not_started_several_times(
    plans: ModuleType, host: PluginHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    for name, value in launcher.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="search trains in one process, but WORLD_SIZE is 2"):
        execute(plans.plan(tmp_path / "r"), host)


def test_a_run_trains_to_its_end_and_leaves_everything_the_design_names(
    plans: ModuleType, host: PluginHost, tmp_path: Path
) -> None:
    run = execute(plans.plan(tmp_path / "r"), host)
    assert {path.name for path in run.directory.iterdir()} == {
        "config.json",
        "plugins.json",
        "metrics.jsonl",
        "run.lock",
        "checkpoints",
    }
    assert run.latest.name == "step-000000000032"
    assert [line["step"] for line in run.metrics] == [8, 16, 24, 32]
    assert run.config["trainer"] == "search"
    assert any(plugin["name"] == "puffer-core" for plugin in json.loads((run.directory / "plugins.json").read_bytes()))
    assert run.evaluation is not None
    assert run.evaluation.episodes == 5


def test_every_line_has_the_same_keys_and_all_clocks_are_under_time(
    plans: ModuleType, host: PluginHost, tmp_path: Path
) -> None:
    metrics = execute(plans.plan(tmp_path / "r"), host).metrics
    assert len({tuple(line) for line in metrics}) == 1
    keys = set(metrics[0])
    assert {"loss/policy", "policy/weight", "episode/return", "eval/return", "time/steps_per_second"} <= keys
    assert {"time/env", "time/policy", "time/learn", "time/update", "time/wall", "time/eval"} <= keys
    assert math.isnan(metrics[0]["eval/return"])
    assert not math.isnan(metrics[-1]["eval/return"])


def test_one_seed_gives_one_result_and_another_seed_another(
    plans: ModuleType, host: PluginHost, tmp_path: Path
) -> None:
    runs = [execute(plans.plan(tmp_path / str(i), seed=seed), host) for i, seed in enumerate((0, 0, 1))]
    digests = [without_times(run.directory) for run in runs]
    assert digests[0] == digests[1] != digests[2]
    assert same_params(runs[0].latest, runs[1].latest)
    assert not same_params(runs[0].latest, runs[2].latest)


def test_evaluations_and_checkpoints_come_when_they_are_due_and_change_nothing(
    plans: ModuleType, host: PluginHost, tmp_path: Path
) -> None:
    plain = execute(plans.plan(tmp_path / "plain"), host)
    busy = execute(plans.plan(tmp_path / "busy", eval_every=16, checkpoint_every=10), host)
    assert [math.isnan(line["eval/return"]) for line in busy.metrics] == [True, False, True, False]
    assert [path.name[-2:] for path in busy.checkpoints] == ["16", "24", "32"]
    assert same_params(plain.latest, busy.latest)


def test_the_manifest_says_what_is_needed_to_use_it(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    run = execute(plans.plan(tmp_path / "r"), host)
    manifest = load(run.latest).manifest
    assert set(manifest.components) == {"policy", "trainer", "collector", "streams", "run"}
    assert manifest.policy is not None
    assert manifest.policy.target == "puffer_core_run_parts:Linear"
    assert manifest.policy.config == {"scale": 0.1, "memory": False}
    assert manifest.policy.action["type"] == "discrete"
    assert (manifest.unit, manifest.run_id, manifest.step) == ("env_steps", "r", 32)
    assert manifest.resume.bitwise
    assert manifest.nonfinite == []
    assert manifest.runtime["backend"]["name"] == "numpy"
    assert manifest.config_hash == hashlib.sha256((run.directory / "config.json").read_bytes()).hexdigest()
    assert set(load(run.latest, ["policy"]).states["policy"]) == {"weight", "bias"}
    assert "params" not in load(run.latest, ["trainer"]).states["trainer"]


def test_memory_of_a_policy_is_in_the_manifest(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    manifest = load(execute(plans.plan(tmp_path / "r", memory=True), host).latest).manifest
    assert manifest.policy is not None
    assert manifest.policy.carry == {"0": {"shape": [2], "dtype": "float32"}}


def test_an_env_without_snapshot_makes_a_resume_inexact(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    resume = load(execute(plans.plan(tmp_path / "r", snapshot=False), host).latest).manifest.resume
    assert not resume.bitwise
    assert "walk cannot give its state" in resume.reasons[0]


class Events:
    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    @hookimpl
    def puffer_run_start(self, run: Any) -> None:
        self.calls.append(("start", run.id))

    @hookimpl
    def puffer_update_end(self, run: Any, step: int, metrics: Any) -> None:
        self.calls.append(("update", step))

    @hookimpl
    def puffer_eval_end(self, run: Any, step: int, metrics: Any) -> None:
        self.calls.append(("eval", step))

    @hookimpl
    def puffer_checkpoint_saved(self, run: Any, step: int, path: Path) -> None:
        assert is_sound(path)
        self.calls.append(("saved", step))

    @hookimpl
    def puffer_run_end(self, run: Any, step: int, status: str) -> None:
        self.calls.append(("end", status))


@pytest.fixture
def events(host: PluginHost) -> Events:
    made = Events()
    host._manager.register(made)
    return made


def test_plugins_are_told_of_every_event(plans: ModuleType, host: PluginHost, tmp_path: Path, events: Events) -> None:
    execute(plans.plan(tmp_path / "r", total_steps=16), host)
    expected = [("start", "r"), ("update", 8), ("eval", 16), ("update", 16), ("saved", 16), ("end", "finished")]
    assert events.calls == expected


def test_a_run_that_fails_is_told_too(plans: ModuleType, host: PluginHost, tmp_path: Path, events: Events) -> None:
    with pytest.raises(RuntimeError, match="the trainer broke"):
        execute(plans.plan(tmp_path / "r", raise_at=2), host)
    assert events.calls[-1] == ("end", "failed")


# --- signals


@pytest.fixture(autouse=True)
def handlers_are_restored() -> Iterator[None]:
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_after_its_update_with_a_checkpoint(
    plans: ModuleType, host: PluginHost, tmp_path: Path, events: Events, signum: int, code: int
) -> None:
    with pytest.raises(RunStopped, match=r"at step 16; saved in .*step-000000000016") as stopped:
        execute(plans.plan(tmp_path / "r", signal_at=2, signal=int(signum)), host)
    assert stopped.value.exit_code == code
    assert is_sound(stopped.value.checkpoint)
    assert events.calls[-1] == ("end", "stopped")
    assert [json.loads(line)["step"] for line in (tmp_path / "r/metrics.jsonl").read_text().splitlines()] == [8, 16]


def test_a_second_request_to_terminate_changes_nothing(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    with pytest.raises(RunStopped) as stopped:
        execute(plans.plan(tmp_path / "r", signal_at=2, signal=int(signal.SIGTERM), signals=2), host)
    assert stopped.value.exit_code == 143
    assert is_sound(stopped.value.checkpoint)


def test_a_second_interrupt_leaves_at_once(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        execute(plans.plan(tmp_path / "r", signal_at=2, signal=int(signal.SIGINT), signals=2), host)
    assert not (tmp_path / "r" / "checkpoints").exists()


def test_a_signal_during_the_evaluation_is_noticed(
    plans: ModuleType, host: PluginHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = plans.parts().Walk
    step = walk.step

    def interrupted(self: Any, action: Any, slot: int) -> Any:
        if self.spec.rows == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, action, slot)

    monkeypatch.setattr(walk, "step", interrupted)
    with pytest.raises(RunStopped) as stopped:
        execute(plans.plan(tmp_path / "r"), host)
    assert stopped.value.exit_code == 143
    assert is_sound(stopped.value.checkpoint)


def test_a_run_in_a_thread_catches_no_signals(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(execute(plans.plan(tmp_path / "r"), host)))
    thread.start()
    thread.join()
    assert done[0].latest


# --- what goes wrong


def test_a_loss_that_is_not_finite_ends_the_run_and_is_not_saved(
    plans: ModuleType, host: PluginHost, tmp_path: Path
) -> None:
    with pytest.raises(PufferError, match="loss/policy is nan after the update that ended at step 24") as failed:
        execute(plans.plan(tmp_path / "r", nan_at=3, checkpoint_every=8), host)
    assert "learning rate" in failed.value.remedy
    assert sorted(path.name[-2:] for path in (tmp_path / "r" / "checkpoints").glob("step*")) == ["08", "16"]


@pytest.mark.filterwarnings("ignore:invalid value")
def test_parameters_that_are_not_finite_are_flagged(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    run = execute(plans.plan(tmp_path / "r", noise=float("inf"), total_steps=8), host)
    assert load(run.latest).manifest.nonfinite == ["bias", "weight"]


def test_a_run_whose_env_cannot_be_made_leaves_nothing_behind(
    plans: ModuleType, host: PluginHost, tmp_path: Path
) -> None:
    broken = plans.plan(tmp_path / "r")
    broken = replace(broken, env=replace(broken.env, spec=replace(broken.env.spec, target="puffer_core_run_parts:No")))
    with pytest.raises(PufferError):
        execute(broken, host)
    assert not (tmp_path / "r").exists()


def test_an_evaluation_that_fails_loses_nothing(
    plans: ModuleType, host: PluginHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no display")

    monkeypatch.setattr("puffer_core.run.loop.evaluate_agent", broken)
    with pytest.raises(RuntimeError, match="no display"):
        execute(plans.plan(tmp_path / "r"), host)
    assert [path.name[-2:] for path in (tmp_path / "r" / "checkpoints").glob("step*")] == ["32"]


def test_a_vector_env_is_no_device_env(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    plan = plans.plan(tmp_path / "r")
    spec = EnvSpec(name="d", summary="", target="puffer_core_run_parts:Walk", interface="device")
    with pytest.raises(EnvError, match="interface 'device', but has `bind`"):
        execute(replace(plan, env=replace(plan.env, spec=spec)), host)


def test_a_policy_that_does_not_run_on_the_backend_is_refused(
    plans: ModuleType, host: PluginHost, tmp_path: Path
) -> None:
    plan = plans.plan(tmp_path / "r")
    spec = replace(plan.policy.spec, backends=frozenset({"torch"}))
    with pytest.raises(UsageError, match="policy linear runs on torch"):
        execute(replace(plan, policy=replace(plan.policy, spec=spec)), host)


# --- loggers


def test_loggers_see_what_the_file_says_and_a_broken_one_changes_nothing(
    plans: ModuleType, host: PluginHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = plans.parts().Memory
    memory.made.clear()
    run = execute(plans.plan(tmp_path / "r", loggers={"broken": {"fails": True}, "good": {}, "jsonl": {}}), host)
    plain = execute(plans.plan(tmp_path / "p"), host)
    broken, good = memory.made
    assert [step for step, _ in good.lines] == [8, 16, 24, 32]
    assert good.closed
    assert good.run.directory == run.directory
    assert not broken.lines
    assert capsys.readouterr().err.count("logger broken was dropped: log raised SystemExit") == 1
    assert without_times(run.directory) == without_times(plain.directory)


# --- components that plugins add


@pytest.fixture
def with_counter(plans: ModuleType, host: PluginHost) -> PluginHost:
    spec = CheckpointableSpec(name="counter", summary="", target="puffer_core_run_parts:Counter")
    host._provided.append(Provided(spec, "puffer-counter", "1.2"))
    return host


def test_components_of_plugins_are_saved_and_restored(
    plans: ModuleType, with_counter: PluginHost, tmp_path: Path
) -> None:
    run = execute(plans.plan(tmp_path / "r"), with_counter)
    saved = load(run.latest)
    assert saved.states["counter"] == {"count": 1}
    assert saved.manifest.components["counter"].distribution == "puffer-counter"
    saved.states["counter"]["count"] = 7
    with closing(RunContext(plans.plan("unused"), with_counter)) as context:
        persistence.restore(context, context.trainer(), RunRecord(), saved)
        counter, _ = context.plugin_components["counter"]
        assert vars(counter)["count"] == 7


def test_a_component_cannot_take_a_name_of_the_core(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    spec = CheckpointableSpec(name="trainer", summary="", target="puffer_core_run_parts:Counter")
    host._provided.append(Provided(spec, "puffer-bad", "1.0"))
    with pytest.raises(PluginError, match="puffer-bad: the name 'trainer'"):
        execute(plans.plan(tmp_path / "r"), host)


# --- restoring


def params_after(context: RunContext, trainer: Any, until: int) -> dict[str, Any]:
    while trainer.progress < until:
        trainer.update()
    return {name: np.array(value) for name, value in trainer.agent.params.items()}


@pytest.mark.parametrize("trainer", ["Search", "LazySearch"])
@pytest.mark.parametrize("memory", [False, True], ids=["plain", "memory"])
def test_half_a_run_restored_elsewhere_ends_as_the_whole(
    plans: ModuleType, host: PluginHost, tmp_path: Path, trainer: str, memory: bool
) -> None:
    whole = execute(plans.plan(tmp_path / "whole", trainer=trainer, memory=memory, total_steps=64), host)
    half = execute(plans.plan(tmp_path / "half", trainer=trainer, memory=memory, total_steps=32), host)
    with closing(RunContext(plans.plan("unused", trainer=trainer, memory=memory, total_steps=64), host)) as context:
        restored = context.trainer()
        persistence.restore(context, restored, RunRecord(), load(half.latest))
        assert restored.progress == 32
        found = params_after(context, restored, 64)
        directory = RunDirectory(tmp_path / "again", "search", "walk")
        with directory:
            (directory.path / "metrics.jsonl").touch()
            again = persistence.save(context, restored, RunRecord(), directory)
    assert same_params(whole.latest, again)
    assert found["weight"].tobytes() == load(whole.latest).states["policy"]["weight"].tobytes()
    for name in ("trainer", "collector", "streams"):
        for file in load(whole.latest).manifest.components[name].files:
            assert (whole.latest / file).read_bytes() == (again / file).read_bytes()


RESUME = """
import importlib.util, sys
from pathlib import Path
from contextlib import closing
spec = importlib.util.spec_from_file_location("plans", sys.argv[1])
plans = importlib.util.module_from_spec(spec); spec.loader.exec_module(plans); plans.parts()
from puffer_core.checkpoints.reading import load
from puffer_core.plugins import PluginHost
from puffer_core.run import persistence
from puffer_core.run.context import RunContext
from puffer_core.run.record import RunRecord
host = PluginHost.discover(third_party=False, environ={})
with closing(RunContext(plans.plan("unused", total_steps=64), host)) as context:
    trainer = context.trainer()
    persistence.restore(context, trainer, RunRecord(), load(Path(sys.argv[2])))
    while trainer.progress < 64:
        trainer.update()
    print(trainer.params["weight"].tobytes().hex())
"""


def test_a_new_process_goes_on_bit_for_bit(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    whole = execute(plans.plan(tmp_path / "whole", total_steps=64), host)
    half = execute(plans.plan(tmp_path / "half", total_steps=32), host)
    command = [sys.executable, "-c", RESUME, str(plans.__file__), str(half.latest)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert found == load(whole.latest).states["policy"]["weight"].tobytes().hex()


def restored(plans: ModuleType, host: PluginHost, saved: Any, **changes: Any) -> None:
    with closing(RunContext(plans.plan("unused", **changes), host)) as context:
        persistence.restore(context, context.trainer(), RunRecord(), saved)


def test_a_checkpoint_of_another_seed_is_refused(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    saved = load(execute(plans.plan(tmp_path / "r"), host).latest)
    with pytest.raises(CheckpointError, match="saved with seed 0, this run has seed 1"):
        restored(plans, host, saved, seed=1)


def test_a_component_that_is_gone_or_new_is_named(plans: ModuleType, with_counter: PluginHost, tmp_path: Path) -> None:
    with_it = load(execute(plans.plan(tmp_path / "r"), with_counter).latest)
    bare = PluginHost.discover(third_party=False, environ={})
    with pytest.raises(CheckpointError, match="state of counter") as refused:
        restored(plans, bare, with_it)
    assert refused.value.remedy == "install puffer-counter 1.2"
    without = load(execute(plans.plan(tmp_path / "s"), bare).latest)
    with pytest.raises(CheckpointError, match="no state of counter, which puffer-counter adds to the run"):
        restored(plans, with_counter, without)


def older(saved: Any, name: str, version: int) -> Any:
    entry = saved.manifest.components[name].model_copy(update={"version": version})
    components = saved.manifest.components | {name: entry}
    return replace(saved, manifest=saved.manifest.model_copy(update={"components": components}))


def test_an_older_state_is_migrated_where_the_component_can(
    plans: ModuleType, with_counter: PluginHost, tmp_path: Path
) -> None:
    saved = older(load(execute(plans.plan(tmp_path / "r"), with_counter).latest), "counter", 1)
    saved.states["counter"] = {"old_count": 5}
    restored(plans, with_counter, saved)
    with pytest.raises(CheckpointError, match=r"state of trainer has version 0, .*Search takes 1"):
        restored(plans, with_counter, older(saved, "trainer", 0))


# --- the context


def test_nothing_is_built_before_it_is_asked_for(plans: ModuleType, host: PluginHost) -> None:
    plan = plans.plan("unused", fails=True)
    broken = BackendSpec(name="none", summary="", target="nowhere:None")
    with closing(RunContext(replace(plan, backend=replace(plan.backend, spec=broken)), host)) as context:
        assert context.generator("x") is context.generator("x")
        assert context.env.id == "walk"
        with pytest.raises(PluginError):
            _ = context.backend


def test_a_run_without_an_env_says_so(plans: ModuleType, host: PluginHost) -> None:
    with (
        closing(RunContext(replace(plans.plan("unused"), env=None, source="data.npz"), host)) as context,
        pytest.raises(UsageError, match=r"search learns from data\.npz"),
    ):
        _ = context.env


def test_a_run_has_one_collector(plans: ModuleType, host: PluginHost) -> None:
    with closing(RunContext(plans.plan("unused"), host)) as context:
        context.trainer()
        with pytest.raises(UnsupportedError, match="asked for twice"):
            context.collector(context.policy(), horizon=1)


def test_closing_the_context_closes_the_env(plans: ModuleType, host: PluginHost) -> None:
    context = RunContext(plans.plan("unused"), host)
    (env,) = context.vector_envs
    context.close()
    assert env.closed
