from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from puffer_core.checkpoints import reading
from puffer_core.checkpoints.manifest import Header, Manifest, ResumeEntry, sealed
from puffer_core.checkpoints.reading import (
    LATEST,
    MANIFEST,
    VersionError,
    completed,
    is_sound,
    load,
    remove_leftovers,
)
from puffer_core.checkpoints.writing import Saved, save
from puffer_core.errors import CheckpointError, ResourceError
from puffer_testing import FailingFiles, Operation


def header(step: int = 5, **rest: Any) -> Header:
    base: dict[str, Any] = {"unit": "env_steps", "run_id": "r", "config_hash": "0", "policy": None, "plugins": []}
    resume = ResumeEntry(bitwise=True, reasons=[])
    return Header(step=step, **(base | {"runtime": {}, "resume": resume} | rest))


def parts() -> dict[str, Saved]:
    return {
        "policy": Saved({"w": np.arange(6, dtype=np.float32).reshape(2, 3)}, "m:Policy"),
        "trainer": Saved({"count": 3, "adam": {"m/w": np.ones(2)}}, "m:Trainer", 2, "puffer-m", "1.0"),
    }


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save(tmp_path / "checkpoints", header(), parts())


def test_what_is_saved_is_loaded(saved: Path) -> None:
    loaded = load(saved)
    assert loaded.states["policy"]["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert loaded.states["trainer"]["count"] == 3
    assert loaded.states["trainer"]["adam"]["m/w"].tolist() == [1, 1]
    assert loaded.manifest.components["trainer"].version == 2
    assert loaded.manifest.components["trainer"].distribution == "puffer-m"


def test_the_directory_is_as_the_design_says(saved: Path) -> None:
    assert saved.name == "step-000000000005"
    names = {"manifest.json", "policy.json", "policy.safetensors", "trainer.json", "trainer.safetensors"}
    assert {path.name for path in saved.iterdir()} == names
    assert (saved.parent / LATEST).read_text() == "step-000000000005\n"
    assert {path.name for path in saved.parent.iterdir()} == {LATEST, saved.name}
    manifest = json.loads((saved / MANIFEST).read_bytes())
    assert (manifest["format"], manifest["version"], manifest["step"]) == ("puffer-checkpoint", 1, 5)
    assert manifest["files"]["policy.safetensors"]["size"] == (saved / "policy.safetensors").stat().st_size


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = (save(tmp_path / name, header(), parts()) for name in "ab")
    assert all((one / path.name).read_bytes() == path.read_bytes() for path in other.iterdir())


def test_one_component_is_read_without_the_others(saved: Path) -> None:
    damage(saved / "trainer.safetensors")
    assert set(load(saved, ["policy"]).states) == {"policy"}
    with pytest.raises(CheckpointError, match=r"trainer\.safetensors is damaged"):
        load(saved)


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def rewrite(saved: Path, **changes: Any) -> None:
    manifest = json.loads((saved / MANIFEST).read_bytes())
    (saved / MANIFEST).write_text(json.dumps(manifest | changes))


def with_file(saved: Path, old: str, new: str) -> None:
    text = (saved / MANIFEST).read_text().replace(f'"{old}"', f'"{new}"')
    (saved / MANIFEST).write_text(text)


def link(saved: Path) -> None:
    (saved / "policy.json").rename(saved.parent / "elsewhere.json")
    (saved / "policy.json").symlink_to(saved.parent / "elsewhere.json")


BROKEN: dict[str, tuple[Any, str]] = {
    "no directory": (shutil.rmtree, "no such directory"),
    "no manifest": (lambda path: (path / MANIFEST).unlink(), "has no manifest.json"),
    "empty manifest": (lambda path: (path / MANIFEST).write_bytes(b""), "cannot be read"),
    "manifest of no text": (lambda path: (path / MANIFEST).write_bytes(b"\x80\x02K\x01."), "cannot be read"),
    "half a manifest": (lambda path: (path / MANIFEST).write_bytes(b'{"format": '), "cannot be read"),
    "a list": (lambda path: (path / MANIFEST).write_bytes(b"[]"), "does not describe"),
    "another format": (lambda path: rewrite(path, format="zip"), "does not describe"),
    "a newer version": (lambda path: rewrite(path, version=2), r"format version 2.*\n.*newer"),
    "a version that is no number": (lambda path: rewrite(path, version="1"), "format version '1'"),
    "a key nobody knows": (lambda path: rewrite(path, extra=1), "wrong at extra"),
    "a wrong type": (lambda path: rewrite(path, step="x"), "wrong at step"),
    "no files": (lambda path: rewrite(path, files={}), "not those of the components"),
    "duplicate keys": (lambda path: (path / MANIFEST).write_bytes(b'{"format": 1, "format": 2}'), "duplicate keys"),
    "a file is missing": (lambda path: (path / "trainer.json").unlink(), "missing: trainer.json"),
    "a file too many": (lambda path: (path / "x.json").write_bytes(b""), "does not list: x.json"),
    "a hidden file": (lambda path: (path / ".x").write_bytes(b""), "does not list: .x"),
    "a short file": (lambda path: (path / "trainer.json").write_bytes(b""), "has 0 bytes"),
    "a flipped bit": (lambda path: damage(path / "policy.safetensors"), "damaged"),
    "a symlink": (link, "not a plain file"),
    "a directory": (lambda path: ((path / "policy.json").unlink(), (path / "policy.json").mkdir()), "not a plain file"),
    "a way out": (lambda path: with_file(path, "policy.json", "../policy.json"), "not allowed"),
    "an absolute path": (lambda path: with_file(path, "policy.json", "/etc/policy.json"), "not allowed"),
    "a pickle": (lambda path: with_file(path, "policy.json", "policy.pkl"), "not allowed"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_checkpoint_is_refused_with_path_and_reason(saved: Path, name: str) -> None:
    break_it, reason = BROKEN[name]
    break_it(saved)
    with pytest.raises(CheckpointError, match=reason) as refused:
        load(saved)
    assert str(saved) in refused.value.message
    assert refused.value.remedy
    assert refused.value.exit_code == 4


def test_a_file_whose_digest_is_right_but_which_is_no_state_is_refused(saved: Path) -> None:
    data = b'{"w": {"$array": "missing"}}'
    (saved / "policy.json").write_bytes(data)
    manifest = json.loads((saved / MANIFEST).read_bytes())
    manifest["files"]["policy.json"] = {"size": len(data), "sha256": reading._digest(data)}
    (saved / MANIFEST).write_bytes(sealed(Manifest.model_validate(manifest)))
    with pytest.raises(CheckpointError, match="state of policy cannot be read"):
        load(saved)


def test_a_component_that_is_not_there_is_named(saved: Path) -> None:
    with pytest.raises(CheckpointError, match="has no league"):
        load(saved, ["league"])


def test_the_remedy_names_other_checkpoints_of_the_run(saved: Path) -> None:
    later = save(saved.parent, header(9), parts())
    damage(later / "policy.safetensors")
    with pytest.raises(CheckpointError, match="step-000000000005"):
        load(later)


def test_steps_decide_the_order(tmp_path: Path) -> None:
    for step in (10**12, 7, 100):
        save(tmp_path, header(step), parts())
    (tmp_path / "step-000000000999").mkdir()  # never completed
    (tmp_path / "notes").mkdir()
    assert [path.name for path in completed(tmp_path)] == [
        "step-000000000007",
        "step-000000000100",
        "step-1000000000000",
    ]
    assert completed(tmp_path / "nowhere") == []


def test_a_directory_renamed_to_another_step_is_refused(saved: Path) -> None:
    renamed = saved.rename(saved.with_name("step-000000000099"))
    with pytest.raises(CheckpointError, match="its manifest is of step"):
        load(renamed)
    assert not is_sound(renamed)


def test_another_format_version_names_what_to_install(saved: Path) -> None:
    said = json.loads((saved / MANIFEST).read_bytes()) | {"version": 2, "runtime": {"puffer-core": "9.1"}}
    (saved / MANIFEST).write_text(json.dumps(said))
    with pytest.raises(VersionError, match="format version 2") as refused:
        load(saved)
    assert refused.value.remedy == "install puffer-core 9.1, which wrote it, or a newer one"


def test_a_sound_checkpoint_of_the_same_step_is_kept(saved: Path) -> None:
    before = (saved / MANIFEST).stat().st_ino
    assert save(saved.parent, header(), parts()) == saved
    assert (saved / MANIFEST).stat().st_ino == before


def test_a_damaged_checkpoint_of_the_same_step_is_replaced(saved: Path) -> None:
    damage(saved / "policy.safetensors")
    assert not is_sound(saved)
    save(saved.parent, header(), parts())
    assert is_sound(saved)
    assert {path.name for path in saved.parent.iterdir()} == {LATEST, saved.name}


def test_leftovers_of_a_killed_save_are_removed_by_the_next(saved: Path) -> None:
    (saved.parent / ".step-000000000006.1").mkdir()
    (saved.parent / ".step-000000000006.1" / "policy.json").write_bytes(b"half")
    save(saved.parent, header(6), parts())
    assert not list(saved.parent.glob(".step*"))


@pytest.mark.parametrize("name", ["manifest", "../x", "A", "", "a/b"])
def test_names_of_components_stay_inside(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match="cannot be called"):
        save(tmp_path, header(), {name: Saved({}, "m:X")})


def test_a_component_that_cannot_be_saved_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"league \(m:League\) cannot be saved: players: a set"):
        save(tmp_path, header(), {"league": Saved({"players": {1}}, "m:League")})
    assert completed(tmp_path) == []


def test_a_sound_checkpoint_is_replaced_where_that_is_asked_for(saved: Path) -> None:
    save(saved.parent, header(score=2.5), parts(), replace=True)
    assert load(saved).manifest.score == 2.5
    assert {path.name for path in saved.parent.iterdir()} == {LATEST, saved.name}


def test_a_checkpoint_moved_aside_by_a_save_that_was_killed_comes_back(saved: Path) -> None:
    aside = saved.rename(saved.with_name(f".{saved.name}.1.old"))
    remove_leftovers(saved.parent)
    assert is_sound(saved)
    assert not aside.exists()


def test_what_was_to_become_latest_is_removed(saved: Path) -> None:
    (saved.parent / ".LATEST.1").touch()
    remove_leftovers(saved.parent)
    assert {path.name for path in saved.parent.iterdir()} == {LATEST, saved.name}


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_is_a_finite_number(score: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        header(score=score)


def test_large_arrays_are_hashed_as_they_are_written(tmp_path: Path) -> None:
    large = np.random.default_rng(3).standard_normal(100_000)
    path = save(tmp_path, header(), {"policy": Saved({"large": large, "none": np.zeros((0, 2))}, "m:Policy")})
    assert is_sound(path)
    assert np.array_equal(load(path).states["policy"]["large"], large)


def test_a_run_that_is_not_there_any_more_is_not_made_again(saved: Path) -> None:
    run = saved.parent.parent
    run.rename(run.with_name("moved"))
    with pytest.raises(ResourceError, match=r"No such file or directory; it needs [\d,]+ bytes, and .* be looked at"):
        save(saved.parent, header(6), parts())
    assert not run.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_save_that_fails_names_the_room_and_leaves_the_rest_as_it_was(saved: Path, number: int) -> None:
    def refuse(operation: Operation) -> None:
        if operation.kind == "write":
            raise OSError(number, os.strerror(number))

    before = {path: path.read_bytes() for path in saved.parent.rglob("*") if path.is_file()}
    with FailingFiles(saved.parent, refuse), pytest.raises(ResourceError) as refused:
        save(saved.parent, header(6), parts())
    assert refused.value.exit_code == 6
    assert os.strerror(number) in refused.value.message
    assert re.search(r"it needs [\d,]+ bytes, [\d,]+ are free", refused.value.message)
    assert {path: path.read_bytes() for path in saved.parent.rglob("*") if path.is_file()} == before
