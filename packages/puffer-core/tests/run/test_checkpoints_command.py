from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puffer_core.api import evaluate
from puffer_core.checkpoints.manifest import Header
from puffer_core.checkpoints.reading import MANIFEST, is_sound, load
from puffer_core.checkpoints.writing import Saved, save
from puffer_core.cli.main import main
from puffer_core.errors import CheckpointError
from puffer_core.run.directory import hold

FIRST, LAST = "step-000000000008", "step-000000000024"


@pytest.fixture
def run(saved_run: Path) -> Path:
    return saved_run


@pytest.fixture
def evaluated(run: Path) -> Path:
    """A run whose first checkpoint scored best; scores of three digits."""
    for path, score in zip(sorted((run / "checkpoints").glob("step-*")), (7.25, 5.5, 6.0), strict=True):
        loaded = load(path)
        header = Header(**{name: getattr(loaded.manifest, name) for name in Header.model_fields} | {"score": score})
        states = {name: Saved(state, "m:X") for name, state in loaded.states.items()}
        save(path.parent, header, states, replace=True)
    return run


def step(run: Path, name: str) -> Path:
    return run / "checkpoints" / name


def damage(path: Path) -> None:
    data = bytearray((path / "policy.safetensors").read_bytes())
    data[-1] ^= 1
    (path / "policy.safetensors").write_bytes(data)


def printed(capsys: pytest.CaptureFixture[str], *argv: object) -> Any:
    assert main(["checkpoints", *map(str, argv), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def names(items: list[dict[str, Any]]) -> list[int]:
    return [item["step"] for item in items]


def test_list_shows_each_by_step_and_reads_none(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(step(run, FIRST))
    found = printed(capsys, "list", run)
    assert names(found) == [8, 16, 24]
    assert [item["latest"] for item in found] == [False, False, True]
    assert {item["condition"] for item in found} == {"not looked at"}
    assert found[0]["bitwise"] is True
    assert found[0]["bytes"] == sum(file.stat().st_size for file in step(run, FIRST).iterdir())
    assert main(["checkpoints", "list", str(run)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("latest, best")


def test_list_shows_scores_and_which_is_best(evaluated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "list", evaluated)
    scores = [item["score"] for item in found]
    assert None not in scores
    assert [item["best"] for item in found] == [score == max(scores) for score in scores]
    assert main(["checkpoints", "list", str(evaluated)]) == 0
    out = capsys.readouterr().out
    assert all(f"{score:.2f}" in out for score in scores)


def test_inspect_says_whether_it_is_the_best(evaluated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for item in printed(capsys, "list", evaluated):
        assert main(["checkpoints", "inspect", item["path"]]) == 0
        out = capsys.readouterr().out
        assert f"eval/return {item['score']:.2f}" in out
        assert ("the best of the run" in out) == item["best"]


def test_prune_keeps_the_best(evaluated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "list", evaluated)
    best, last = next(item["step"] for item in found if item["best"]), found[-1]["step"]
    assert best != last
    assert names(printed(capsys, "prune", evaluated, "--keep-last", 1, "--keep-best", 1)["kept"]) == [best, last]
    assert names(printed(capsys, "prune", evaluated, "--keep-last", 1)["kept"]) == [last]


def test_list_shows_what_is_plainly_damaged(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (step(run, LAST) / MANIFEST).unlink()
    found = printed(capsys, "list", run)
    assert (found[-1]["condition"], found[-1]["latest"], found[-2]["latest"]) == ("damaged", False, True)
    assert "no manifest.json" in found[-1]["reason"]


def test_verify_says_which_are_sound(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [item["condition"] for item in printed(capsys, "verify", run)] == ["sound"] * 3
    damage(step(run, LAST))
    assert main(["checkpoints", "verify", str(run)]) == 4
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0] == f"{step(run, FIRST)}: sound"
    assert shown.out.splitlines()[2].startswith(f"{step(run, LAST)}: policy.safetensors is damaged")
    assert shown.err == (f"error: {LAST} cannot be used; the last that is sound is {step(run, 'step-000000000016')}\n")


def test_verify_of_a_renamed_checkpoint_says_so(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    renamed = step(run, FIRST).rename(step(run, "step-000000000099"))
    assert main(["checkpoints", "verify", str(renamed)]) == 4
    assert "its manifest is of step 8" in capsys.readouterr().out


def test_verify_of_a_run_whose_checkpoints_are_all_damaged(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (run / "checkpoints").glob("step-*"):
        damage(path)
    assert main(["checkpoints", "verify", str(run)]) == 4
    assert "no other checkpoint of the run is sound" in capsys.readouterr().err


def test_inspect_says_what_made_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = printed(capsys, "inspect", run)
    params = load(step(run, LAST), ["policy"]).states["policy"]
    assert (told["step"], told["parameters"]) == (24, sum(array.size for array in params.values()))
    assert told["parameter_bytes"] == 4 * told["parameters"]
    assert told["components"]["trainer"]["distribution"] == "puffer-walk"
    assert main(["checkpoints", "inspect", str(step(run, FIRST))]) == 0
    text = capsys.readouterr().out
    for part in ("step 8 (env_steps)", "linear of puffer-walk", "box shape [2] dtype float32", "6 numbers, 24 B",
                 "of puffer-walk 1.0", "numpy ", "bitwise"):  # fmt: skip
        assert part in text


def test_prune_says_what_went_and_what_that_freed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = sum(file.stat().st_size for file in step(run, FIRST).iterdir())
    told = printed(capsys, "prune", run, "--keep-last", 1, "--keep-every", 16, "--dry-run")
    assert (names(told["removed"]), told["freed_bytes"], names(told["kept"])) == ([8], size, [16, 24])
    assert step(run, FIRST).is_dir()
    assert printed(capsys, "prune", run, "--keep-last", 2)["freed_bytes"] == size
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["LATEST", "step-000000000016", LAST]
    assert main(["checkpoints", "prune", str(run), "--keep-last", "1"]) == 0
    assert "removed step-000000000016 (" in capsys.readouterr().out


def test_prune_never_counts_a_damaged_one(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(step(run, LAST))
    told = printed(capsys, "prune", run, "--keep-last", 1)
    assert (names(told["removed"]), names(told["kept"])) == ([8, 24], [16])
    assert (run / "checkpoints" / "LATEST").read_text() == "step-000000000016\n"
    assert is_sound(step(run, "step-000000000016"))


def test_prune_leaves_what_another_version_wrote(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (step(run, LAST) / MANIFEST).read_text()
    (step(run, LAST) / MANIFEST).write_text(text.replace('"version": 1\n}', '"version": 2\n}'))
    told = printed(capsys, "prune", run, "--keep-last", 1)
    assert (names(told["removed"]), names(told["kept"]), names(told["left"])) == ([8], [16], [24])
    assert step(run, LAST).is_dir()


def test_prune_of_damaged_ones_alone_removes_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (run / "checkpoints").glob("step-*"):
        damage(path)
    assert printed(capsys, "prune", run, "--keep-last", 1)["removed"] == []


def test_prune_of_a_run_that_trains_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hold(run):
        assert main(["checkpoints", "prune", str(run), "--keep-last", "1"]) == 6
    assert "another process writes this run" in capsys.readouterr().err
    assert step(run, FIRST).is_dir()


def test_a_link_to_a_checkpoint_elsewhere_is_not_followed(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = step(run, FIRST).rename(tmp_path / FIRST)
    step(run, FIRST).symlink_to(elsewhere)
    printed(capsys, "prune", run, "--keep-last", 1)
    assert not step(run, FIRST).is_symlink()
    assert is_sound(elsewhere)


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["list", "{run}/none"], 4, "there is no such directory"),
        (["list", "{run}/checkpoints"], 4, "it has no config.json"),
        (["list", "{run}/checkpoints/" + FIRST], 4, "a checkpoint, expected a run"),
        (["inspect", "{run}/checkpoints/step-000000000001"], 4, "there is no such directory\nuse another checkpoint"),
        (["prune", "{run}"], 2, "--keep-last"),
        (["prune", "{run}", "--keep-last", "0"], 2, "expected an integer >= 1"),
        (["verfy", "{run}"], 2, "Did you mean verify?"),
    ],
)
def test_mistakes_are_told(
    run: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, said: str
) -> None:
    assert main(["checkpoints", *(part.replace("{run}", str(run)) for part in argv)]) == code
    assert said in capsys.readouterr().err


def test_a_run_that_saved_nothing_says_what_to_do(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(run / "checkpoints")
    assert printed(capsys, "list", run) == []
    assert main(["checkpoints", "verify", str(run)]) == 4
    assert "no checkpoint yet" in capsys.readouterr().err


def test_without_an_action_the_actions_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoints"]) == 0
    assert "puffer checkpoints prune RUN --keep-last N" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"weight": np.zeros((3, 2), np.float32), "bias": np.zeros(2, np.float32)}, r"weight has shape \(3, 2\)"),
        ({"weight": np.zeros((2, 2), np.float32)}, "bias is missing"),
        (
            {name: np.zeros((1, 1), np.float32) for name in ("weight", "bias", "extra", "stats.reward.mean")},
            r"extra is of no use to it; bias has shape \(1, 1\), expected shape \(.*\); weight has shape",
        ),
    ],
)
def test_parameters_that_do_not_fit_the_policy_are_refused(run: Path, host: Any, params: Any, said: str) -> None:
    made = load(step(run, LAST)).manifest
    header = Header(**{name: getattr(made, name) for name in Header.model_fields} | {"step": 99})
    path = save(run / "checkpoints", header, {"policy": Saved(params, "m:Linear")})
    with pytest.raises(CheckpointError, match=said):
        evaluate(path, host=host)
