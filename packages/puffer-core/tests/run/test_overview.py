from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from puffer_core.cli.main import main
from puffer_core.run.directory import hold
from puffer_core.run.overview import overview, runs


@pytest.fixture
def run(saved_run: Path) -> Path:
    return saved_run


def listed(directory: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert main(["runs", str(directory), "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_finished_run_is_shown(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = listed(run.parent, capsys)
    assert (found["name"], found["env"], found["trainer"], found["seed"]) == ("mine", "walk", "search", 0)
    assert (found["step"], found["total_steps"], found["status"]) == (24, 24, "finished")
    last = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()][-1]
    assert found["best_return"] == last["eval/return"]
    assert found["bytes"] == sum(file.stat().st_size for file in run.rglob("*") if file.is_file())
    assert main(["runs", str(run.parent)]) == 0
    assert "24 of 24" in capsys.readouterr().out


def test_a_run_that_is_held_is_running_and_looking_does_not_disturb(run: Path) -> None:
    with hold(run):
        assert overview(run).status == "running"
    assert overview(run).status == "finished"
    hold(run).close()


def test_saved_before_its_end_is_stopped(run: Path) -> None:
    change(run / "config.json", total_steps=100)
    assert overview(run).status == "stopped"


def test_reaching_the_target_is_an_end(run: Path) -> None:
    change(run / "config.json", total_steps=100, target_return=-1000)
    assert overview(run).status == "finished"


def test_updates_after_the_last_checkpoint_mean_failed(run: Path) -> None:
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 32, "episode/return": 3.5}\n')
    assert (overview(run).status, overview(run).step, overview(run).last_return) == ("failed", 32, 3.5)


def test_saved_before_its_first_update_is_stopped(run: Path) -> None:
    (run / "metrics.jsonl").write_text("")
    assert overview(run).status == "stopped"


def test_saved_before_an_evaluation_that_is_due_is_stopped(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(lines[:-1]))
    assert overview(run).status == "stopped"


def test_a_run_without_an_update_is_unknown(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    (run / "metrics.jsonl").write_text("")
    assert overview(run).status == "unknown"


def test_a_line_still_being_written_is_left_out(run: Path) -> None:
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99, "epi')
    assert overview(run).step == 24


def test_the_best_of_a_long_file_is_in_its_tail(run: Path) -> None:
    def line(step: int, value: float | None) -> str:
        return json.dumps({"step": step, "episode/return": 1.0, "eval/return": value, "pad": "x" * 1000})

    lines = [line(step, 7.0 if step == 2500 else None) for step in range(3000)]
    (run / "metrics.jsonl").write_text("\n".join([*lines, ""]))
    assert (overview(run).best_return, overview(run).step) == (7.0, 2999)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [("config.json", "{", "config.json: cannot be read"), ("config.json", "[]", "expected an object"),
     ("metrics.jsonl", "nonsense\n", "metrics.jsonl: it has a line that is no JSON"),
     ("metrics.jsonl", "[1]\n", "without a step")],
)  # fmt: skip
def test_damage_is_shown_and_does_not_stop_the_listing(
    run: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, reason: str
) -> None:
    other = Path(shutil.copytree(run, run.parent / "other"))
    (other / name).write_text(content)
    found = {item["name"]: item for item in listed(run.parent, capsys)}
    assert (found["other"]["status"], found["mine"]["status"]) == ("damaged", "finished")
    assert reason in found["other"]["reason"]


def test_a_run_without_its_config_is_damaged(run: Path) -> None:
    (run / "config.json").unlink()
    assert overview(run).status == "damaged"


def test_newest_first_seeds_one_level_down_and_nothing_else(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(2):
        path = Path(shutil.copytree(run, run.parent / "many" / f"seed-{seed}"))
        os.utime(path / "config.json", (10 + seed, 10 + seed))
    shutil.copytree(run, run.parent / "a" / "b" / "too-deep")
    (run.parent / "notes").mkdir()
    (run.parent / "file").touch()
    assert [item["name"] for item in listed(run.parent, capsys)] == ["mine", "many/seed-1", "many/seed-0"]


def test_the_directory_of_a_run_is_that_run(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [item["name"] for item in listed(run, capsys)] == ["mine"]
    monkeypatch.chdir(run)
    assert [item["name"] for item in listed(Path(), capsys)] == ["mine"]


def test_a_link_to_a_run_has_its_size(run: Path) -> None:
    link = run.parent / "link"
    link.symlink_to(run)
    assert overview(link).bytes == overview(run).bytes > 0


def test_no_runs_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(tmp_path)]) == 0
    assert f"{tmp_path}: no run in it" in capsys.readouterr().err


def test_no_such_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(tmp_path / "none")]) == 4
    assert str(tmp_path / "none") in capsys.readouterr().err
    assert runs(tmp_path) == []
