"""C6: malformed checkpoints; C7: flipped bits. Through the commands, as people meet them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puffer_core.checkpoints.manifest import Header, Manifest, ResumeEntry, sealed
from puffer_core.checkpoints.reading import MANIFEST, is_sound
from puffer_core.checkpoints.writing import Saved, save
from puffer_core.cli.main import main

Injecting = Callable[..., AbstractContextManager[Any]]
Break = Callable[[Path], object]


def make(run: Path, *steps: int) -> Path:
    """A run with checkpoints of these steps; gives the last."""
    run.mkdir()
    (run / "config.json").write_text("{}")
    resume = ResumeEntry(bitwise=True, reasons=[])
    for step in steps:
        header = Header(
            step=step, unit="env_steps", run_id="r", config_hash="0", policy=None, plugins=[], runtime={}, resume=resume
        )
        path = save(run / "checkpoints", header, {
            "policy": Saved({"w": np.arange(6, dtype=np.float32).reshape(2, 3)}, "m:Policy"),
            "trainer": Saved({"count": 3, "adam": {"m/w": np.ones(2)}}, "m:Trainer", 2, "puffer-m", "1.0"),
        })  # fmt: skip
    return path


def manifest(path: Path, **changes: Any) -> None:
    """Change what the manifest says, whose checksum is then no longer right."""
    (path / MANIFEST).write_text(json.dumps(json.loads((path / MANIFEST).read_bytes()) | changes))


def forge(path: Path, name: str, data: bytes) -> None:
    """Put another content into a file, with all digests right."""
    (path / name).write_bytes(data)
    said = json.loads((path / MANIFEST).read_bytes())
    said["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (path / MANIFEST).write_bytes(sealed(Manifest.model_validate(said)))


def rename_in_manifest(path: Path, old: str, new: str) -> None:
    (path / MANIFEST).write_text((path / MANIFEST).read_text().replace(f'"{old}"', f'"{new}"'))


def symlink(path: Path, name: str) -> None:
    outside = path.parents[2] / "outside" / name
    (path / name).replace(outside)
    (path / name).symlink_to(outside)


def tensors(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def pickled(path: Path) -> None:
    (path / "policy.safetensors").replace(path / "policy.pkl")
    rename_in_manifest(path, "policy.safetensors", "policy.pkl")


def to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


F32 = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
MALFORMED: dict[str, tuple[Break, str]] = {
    "missing": (shutil.rmtree, "no such directory"),
    "no manifest": (lambda path: (path / MANIFEST).unlink(), "has no manifest.json"),
    "empty manifest": (lambda path: (path / MANIFEST).write_bytes(b""), "cannot be read"),
    "truncated manifest": (lambda path: truncate(path / MANIFEST), "damaged"),
    "manifest is a pipe": (lambda path: to_pipe(path / MANIFEST), "not a plain file"),
    "manifest is a link out": (lambda path: symlink(path, MANIFEST), "not a plain file"),
    "manifest nested too deeply": (lambda path: (path / MANIFEST).write_bytes(b"[" * 100_000), "too deeply"),
    "duplicate keys": (lambda path: (path / MANIFEST).write_bytes(b'{"step": 1, "step": 2}'), "duplicate keys"),
    "newer version": (lambda path: manifest(path, version=2), "format version 2"),
    "another format": (lambda path: manifest(path, format="zip"), "does not describe"),
    "unknown key": (lambda path: manifest(path, surprise=1), "wrong at surprise"),
    "negative step": (lambda path: manifest(path, step=-1), "wrong at step"),
    "another step": (lambda path: manifest(path, step=9), "checksum"),
    "file missing": (lambda path: (path / "trainer.json").unlink(), "missing: trainer.json"),
    "file truncated": (lambda path: truncate(path / "policy.safetensors"), "bytes, expected"),
    "extra file": (lambda path: (path / "extra.json").write_bytes(b"{}"), "does not list: extra.json"),
    "symlink out": (lambda path: symlink(path, "policy.json"), "policy.json is not a plain file"),
    "directory for a file": (
        lambda path: ((path / "policy.json").unlink(), (path / "policy.json").mkdir()),
        "policy.json is not a plain file",
    ),
    ".. out": (lambda path: rename_in_manifest(path, "policy.json", "../../../outside/precious.json"), "not allowed"),
    "absolute path": (lambda path: rename_in_manifest(path, "policy.json", "/etc/policy.json"), "not allowed"),
    "renamed pickle": (pickled, "not allowed"),
    "pickle in disguise": (lambda path: forge(path, "policy.safetensors", b"\x80\x04K\x01." * 9), "malformed"),
    "absurd tensor header": (
        lambda path: forge(path, "policy.safetensors", struct.pack("<Q", 2**63 - 1) + b"{}"), "malformed",
    ),
    "absurd tensor shape": (
        lambda path: forge(path, "policy.safetensors", tensors({"w": F32 | {"shape": [2**40, 2**40]}}, bytes(24))),
        "malformed",
    ),
    "tensors overlap": (
        lambda path: forge(path, "policy.safetensors", tensors({"w": F32, "v": F32}, bytes(24))), "malformed",
    ),
    "tensor that is not there": (
        lambda path: forge(path, "policy.json", b'{"w": {"$array": "other"}}'), "'other' is missing",
    ),
    "state nested too deeply": (
        lambda path: forge(path, "policy.json", b'{"a": ' * 900 + b"1" + b"}" * 900), "cannot be read",
    ),
    "number beyond every float": (
        lambda path: forge(path, "policy.json", b'{"a": {"$float": 1' + b"0" * 400 + b"}}"), "cannot be read",
    ),
}  # fmt: skip


def everything_but(path: Path, below: Path) -> dict[str, bytes]:
    files = (file for file in sorted(below.rglob("*")) if file.is_file() and path not in file.parents)
    return {str(file): file.read_bytes() for file in files}


def test_malformed_checkpoints_are_refused(
    tmp_path: Path, injecting: Injecting, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = "exit 4, an error with path, reason and remedy; nothing outside of the checkpoint is touched"
    with injecting("C6", "malformed checkpoints", expected) as row:
        for number, (name, (break_it, reason)) in enumerate(MALFORMED.items()):
            place = tmp_path / str(number)
            (place / "outside").mkdir(parents=True)
            (place / "outside" / "precious.json").write_text("{}")
            path = make(place / "run", 5, 9)
            break_it(path)
            before = everything_but(path, place)
            assert main(["eval", str(path)]) == 4, name
            error = capsys.readouterr().err
            assert error.startswith(f"error: {path}: "), name
            assert reason in error, name
            assert len(error.splitlines()) == 2, name
            assert main(["checkpoints", "verify", str(path)]) == 4, name
            shown = capsys.readouterr()
            assert reason in shown.out, name
            assert "step-000000000005" in shown.err, name
            assert everything_but(path, place) == before, name
            row.took(0.0)
    assert len(MALFORMED) >= 24


def flip_bits(run: Path, times: int, row: Any) -> None:
    path = make(run, 5)
    random = np.random.default_rng(7)
    files = sorted(path.iterdir())
    sizes = np.array([file.stat().st_size for file in files])
    for _ in range(times):
        which = int(random.choice(len(files), p=sizes / sizes.sum()))
        sound = files[which].read_bytes()
        flipped = bytearray(sound)
        flipped[random.integers(len(flipped))] ^= 1 << int(random.integers(8))
        files[which].write_bytes(flipped)
        assert not is_sound(path), files[which].name
        files[which].write_bytes(sound)
        row.took(0.0)
    assert is_sound(path)


FLIPPED = ("C7", "a random bit of a checkpoint flipped, the manifest's too", "found before anything is made of it")


def test_flipped_bits_are_found(tmp_path: Path, injecting: Injecting) -> None:
    with injecting(*FLIPPED) as row:
        flip_bits(tmp_path / "run", 100, row)


@pytest.mark.faults
def test_a_thousand_flipped_bits_are_found(tmp_path: Path, injecting: Injecting) -> None:
    with injecting(*FLIPPED) as row:
        flip_bits(tmp_path / "run", 1000, row)
