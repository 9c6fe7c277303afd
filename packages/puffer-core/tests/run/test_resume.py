"""Going on with a run: what it becomes, what is written down, where it goes on from."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from puffer_core import api
from puffer_core.checkpoints.reading import load
from puffer_core.errors import CheckpointError, UsageError
from puffer_core.plugins import PluginHost
from puffer_core.run.directory import Run
from puffer_core.run.signals import RunStopped

Train = Callable[..., Run]
Stop = Callable[..., Path]


def kept(run: Path) -> list[dict[str, Any]]:
    """The lines of the log, but for what may differ after a resume."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: x for key, x in line.items() if not key.startswith(("time/", "system/"))} for line in lines]


def resumes(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "resumes.jsonl").read_text().splitlines()]


def same_state(one: Path, other: Path) -> bool:
    """Whether two checkpoints have the same bytes, but for the time that was spent."""
    a, b = (load(path).manifest.files for path in (one, other))
    files = a.keys() - {"run.json"}
    return a.keys() == b.keys() and all(a[name] == b[name] for name in files)


def test_a_stopped_run_ends_as_one_that_never_was(host: PluginHost, train: Train, stop: Stop) -> None:
    whole = train("whole", checkpoint_every=8, eval_every=16)
    resumed = api.resume(stop(eval_every=16), host=host)
    assert kept(resumed.directory) == kept(whole.directory)
    assert resumed.evaluation is not None
    assert whole.evaluation is not None
    assert resumed.evaluation.mean_return == whole.evaluation.mean_return
    params = (load(run.latest, ["policy"]).states["policy"] for run in (resumed, whole))
    first, second = params
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_it_is_told_to_whoever_was_stopped(stop: Stop, train: Train) -> None:
    with pytest.raises(RunStopped) as stopped:
        train("again", signal_at=1)
    assert f"puffer resume {stopped.value.directory}" in stopped.value.remedy


def test_a_log_that_is_ahead_of_the_checkpoint_has_no_step_twice_and_none_missing(
    host: PluginHost, train: Train
) -> None:
    whole = train("whole", checkpoint_every=8)
    ahead = train("ahead", checkpoint_every=8, signal_at=0)
    for path in ahead.checkpoints[1:]:
        shutil.rmtree(path)  # as if it had been killed before those were saved
    resumed = api.resume(ahead, host=host)
    assert [line["step"] for line in resumed.metrics] == [8, 16, 24, 32]
    assert kept(resumed.directory) == kept(whole.directory)
    assert same_state(resumed.latest, whole.latest)


def test_the_directory_one_stands_in_is_a_run_like_any_other(
    host: PluginHost, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stop()
    monkeypatch.chdir(path)
    api.resume(".", host=host)
    assert load(Run(path).latest).manifest.run_id == "r"
    assert Run(path).latest.name == "step-000000000032"


def test_what_happened_is_written_down(host: PluginHost, stop: Stop) -> None:
    path = stop()
    api.resume(path, total_steps=40, eval_episodes=3, host=host)
    api.resume(path, total_steps=48, host=host)
    first, second = resumes(path)
    assert (first["step"], first["checkpoint"]) == (16, "step-000000000016")
    assert first["changes"] == {
        "eval_episodes": {"from": 2, "to": 3},
        "total_steps": {"from": 32, "to": 40},
    }
    assert first["versions"]["puffer-walk"] == "1.0"
    assert second["changes"] == {"total_steps": {"from": 40, "to": 48}}
    config = Run(path).config
    assert (config["total_steps"], config["eval_episodes"], config["signal_at"]) == (48, 3, 2)


def test_a_line_that_a_crash_cut_short_spoils_no_other(host: PluginHost, stop: Stop) -> None:
    path = stop()
    (path / "resumes.jsonl").write_text('{"time": "2026')
    api.resume(path, host=host)
    assert len((path / "resumes.jsonl").read_text().splitlines()) == 2


def test_files_and_variables_play_no_part(
    host: PluginHost, stop: Stop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stop()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    Path("puffer.toml").write_text("total_steps = 80\nseed = 5\nbroken = true\n")
    monkeypatch.setenv("PUFFER_TOTAL_STEPS", "88")
    run = api.resume(path, host=host)
    assert run.latest.name == "step-000000000032"
    assert resumes(path)[0]["changes"] == {}


def test_a_finished_run_says_so_and_stays_as_it_is(
    host: PluginHost, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train("r")
    again = api.resume(run, host=host)
    assert "has finished, at step 32; it goes on with --total-steps 64" in capsys.readouterr().err
    assert again.evaluation is not None
    assert run.evaluation is not None
    assert again.evaluation.mean_return == run.evaluation.mean_return
    assert not (run.directory / "resumes.jsonl").exists()
    assert len(run.metrics) == 4


def test_a_run_that_reached_its_target_has_finished(
    host: PluginHost, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train("r", eval_every=8, target_return=-1000.0)
    assert run.latest.name == "step-000000000008"
    api.resume(run, host=host)
    assert "it goes on with --target-return none" in capsys.readouterr().err
    assert api.resume(run, target_return=None, host=host).latest.name == "step-000000000032"


def test_a_run_that_was_never_saved_has_nothing_to_go_on_from(host: PluginHost, train: Train) -> None:
    run = train("r")
    shutil.rmtree(run.directory / "checkpoints")
    with pytest.raises(CheckpointError, match="never saved") as refused:
        api.resume(run, host=host)
    assert "train anew" in refused.value.remedy
    assert refused.value.exit_code == 4


@pytest.mark.parametrize("what", ["nothing", "no run", "a checkpoint"])
def test_what_is_no_run_is_left_alone(host: PluginHost, train: Train, tmp_path: Path, what: str) -> None:
    places = {"nothing": tmp_path / "none", "no run": tmp_path / "dir"}
    (tmp_path / "dir").mkdir()
    path = places.get(what) or train("r").latest
    with pytest.raises(CheckpointError, match=r"not the directory of a run|a checkpoint, expected a run"):
        api.resume(path, host=host)
    assert not list((tmp_path / "dir").iterdir())


def test_an_env_that_cannot_give_its_state_starts_new_episodes_and_says_so(
    host: PluginHost, stop: Stop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mute.toml").write_text("[env]\nsnapshot = false\n")
    api.resume(stop(config=tmp_path / "mute.toml"), host=host)
    assert "not bit for bit: the env walk cannot give its state" in capsys.readouterr().err


def test_env_state_that_does_not_fit_any_more_is_done_without_and_told(
    host: PluginHost, plans: ModuleType, stop: Stop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stop()
    monkeypatch.setattr(plans.parts(), "Walk", plans.parts().ForgetfulWalk)
    assert api.resume(path, host=host).latest.name == "step-000000000032"
    assert "warning: walk: cannot be put back where it was; new episodes start" in capsys.readouterr().err


def test_loggers_may_be_others(host: PluginHost, plans: ModuleType, stop: Stop) -> None:
    path = stop()
    plans.parts().Memory.made.clear()
    api.resume(path, logger=["memory"], host=host)
    (logger,) = plans.parts().Memory.made
    assert [step for step, _ in logger.lines][-2:] == [24, 32]
    assert Run(path).config["logger"] == {"memory": {}}
    assert resumes(path)[0]["changes"] == {"logger.memory": {"from": None, "to": {}}}


class TestAuto:
    """`puffer train --resume auto --run DIR`."""

    def test_goes_on_with_what_is_there(self, host: PluginHost, train: Train, stop: Stop) -> None:
        whole = train("whole")
        path = stop()
        run = train("r", resume="auto", total_steps=40, checkpoint_every=8, signal_at=2)
        assert run.latest.name == "step-000000000040"
        assert kept(path)[:3] == kept(whole.directory)[:3]
        assert resumes(path)[0]["changes"] == {"total_steps": {"from": 32, "to": 40}}
        assert Run(path).config["resume"] == "never"

    def test_starts_where_there_is_nothing(self, train: Train) -> None:
        run = train("new", resume="auto")
        assert run.latest.name == "step-000000000032"
        assert not (run.directory / "resumes.jsonl").exists()

    def test_refuses_another_run(self, train: Train, stop: Stop) -> None:
        stop()
        with pytest.raises(UsageError, match=r"noise: 0\.01 in the run, 0\.5 now"):
            train("r", resume="auto", noise=0.5, signal_at=2)

    def test_needs_a_directory(self, host: PluginHost) -> None:
        with pytest.raises(UsageError, match="--resume auto: got no directory"):
            api.train("search", env="walk", resume="auto", host=host)

    def test_starts_anew_what_was_never_saved(self, train: Train, capsys: pytest.CaptureFixture[str]) -> None:
        path = train("r").directory
        shutil.rmtree(path / "checkpoints")
        run = train("r", resume="auto", noise=0.5)
        assert "never saved; it starts anew" in capsys.readouterr().err
        assert [line["step"] for line in run.metrics] == [8, 16, 24, 32]
        assert run.config["noise"] == 0.5

    def test_never_starts_anew_where_all_checkpoints_are_damaged(self, train: Train, stop: Stop) -> None:
        path = stop()
        for checkpoint in Run(path).checkpoints:
            (checkpoint / "manifest.json").unlink()
        with pytest.raises(CheckpointError, match="none of its checkpoints is sound"):
            train("r", resume="auto", signal_at=2, checkpoint_every=8)
        assert len(kept(path)) == 2

    def test_what_has_no_configuration_is_no_run(self, train: Train, stop: Stop) -> None:
        (stop() / "config.json").unlink()
        with pytest.raises(CheckpointError, match=r"no config\.json"):
            train("r", resume="auto")

    def test_what_a_killed_process_left_of_writing_its_first_file_is_no_obstacle(
        self, train: Train, tmp_path: Path
    ) -> None:
        (tmp_path / "r").mkdir()
        (tmp_path / "r" / "run.lock").touch()
        (tmp_path / "r" / ".config.json.17").write_text("{")
        assert train("r", resume="auto").latest.name == "step-000000000032"


def test_metrics_of_an_interrupted_evaluation_come_with_the_resume(host: PluginHost, stop: Stop) -> None:
    run = api.resume(stop(eval_every=16), host=host)
    assert [math.isnan(line["eval/return"]) for line in run.metrics] == [True, False, True, False]
