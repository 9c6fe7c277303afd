"""Compiled envs are kept between processes, for anyone's env, and made anew when anything they are made of changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from gymnasium.spaces import Box

from puffer_core.contracts.env import EnvBuffers
from puffer_core.errors import EnvError, UnsupportedError
from puffer_env_native import Array, NativeEnv, UInt8, cache
from puffer_env_native.cartpole import CartPole
from puffer_env_native.gridworld import GridWorld
from puffer_env_native.machine_code import ObjectFile
from puffer_env_native.pendulum import Pendulum
from puffer_env_native.probes import ConstantReward

ENV = """
    import math
    from gymnasium.spaces import Box, Discrete
    from puffer_env_native import NativeEnv
    from physics import pushed

    class Theirs(NativeEnv):
        observation_space = Box(-9.0, 9.0, (1,))
        action_space = Discrete(2)
        x: float

        def reset(self):
            self.x = 0.0

        def step(self, action):
            self.x = pushed(self.x, action)
            return math.exp(self.x), False

        def observe(self):
            return self.x
"""

PHYSICS = """
    GAIN = 1.0

    def pushed(x, action):
        return x + GAIN * (2 * action - 1)
"""

MAIN = """
    import sys
    import numpy as np
    from puffer_core.contracts.env import EnvBuffers
    from theirs import Theirs

    env = Theirs.batch(3)
    buffers = EnvBuffers.allocate(env.spec, 2)
    env.bind(buffers)
    env.reset(0)
    env.step(np.array([0, 1, 1]), 1)
    print(buffers.observation[1, :, 0].tolist(), "numba" in sys.modules)
"""


@pytest.fixture(scope="module")
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with somebody's env, a module that it uses, a program, and what its first run left in the cache."""
    directory = tmp_path_factory.mktemp("theirs")
    for name, source in (("theirs", ENV), ("physics", PHYSICS), ("main", MAIN)):
        (directory / f"{name}.py").write_text(textwrap.dedent(source))
    assert ran(directory) == "[-1.0, 1.0, 1.0] True"
    return directory


@pytest.fixture
def theirs(compiled_once: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return shutil.copytree(compiled_once, tmp_path / "theirs")


def ran(directory: Path, **environ: str) -> str:
    """What the program prints in a process of its own."""
    kept = {"NUMBA_CACHE_DIR": str(directory / "cache"), "PYTHONDONTWRITEBYTECODE": "1", **environ}
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=directory, env=os.environ | kept, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_second_process_neither_compiles_nor_imports_numba(theirs: Path) -> None:
    assert ran(theirs) == "[-1.0, 1.0, 1.0] False"


def test_a_constant_of_another_module_that_changes_is_seen(theirs: Path) -> None:
    physics = theirs / "physics.py"
    physics.write_text(physics.read_text().replace("GAIN = 1.0", "GAIN = 3.0"))
    assert ran(theirs) == "[-3.0, 3.0, 3.0] True"


def test_a_damaged_entry_is_compiled_again(theirs: Path) -> None:
    (entry,) = (theirs / "cache").rglob("*.puffer")
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert cache.read(entry) is None
    assert ran(theirs) == "[-1.0, 1.0, 1.0] True"
    assert cache.read(entry) is not None


def test_a_directory_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where a directory should be")
    cache.write(tmp_path / "file" / "entry", ObjectFile((), b"code"))
    (tmp_path / "entry").mkdir()
    cache.write(tmp_path / "entry", ObjectFile((), b"code"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["entry", "file"]


def test_the_directory_is_numbas_or_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    assert cache.directory() == tmp_path / "numba" / "puffer-env-native"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache.directory() == tmp_path / "cache" / "puffer" / "env-native"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.directory() == tmp_path / ".cache" / "puffer" / "env-native"


def test_an_entry_comes_back_as_it_was_written(tmp_path: Path) -> None:
    code = ObjectFile(("fmod", "exp"), b"\x7fELF\nmachine\ncode")
    cache.write(tmp_path / "deep" / "entry", code)
    assert cache.read(tmp_path / "deep" / "entry") == code
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["entry"]
    assert cache.read(tmp_path / "none") is None


def test_fingerprints_tell_envs_apart_and_stay() -> None:
    envs = (CartPole, Pendulum, ConstantReward)
    assert len({cache.fingerprint(env) for env in envs}) == 3
    assert cache.fingerprint(CartPole) == cache.fingerprint(CartPole)


def _slow(self: NativeEnv) -> None:
    self.elapsed = 1


def _fast(self: NativeEnv) -> None:
    self.elapsed = 2


def _drawn(self: NativeEnv, out: Array) -> None:
    out[0] = 1


def lever(**changes: object) -> type[NativeEnv]:
    members = {
        "action_space": Pendulum.action_space,
        "observation_space": Pendulum.observation_space,
        "LENGTH": 1.0,
        "reset": _fast,
        "observe": _fast,
        "__annotations__": {"x": float, "strength": float},
        "strength": 1.0,
    }
    return type("Lever", (NativeEnv,), members | changes)


@pytest.mark.parametrize(
    "change",
    [
        {"LENGTH": 2.0},
        {"reset": _slow},
        {"__annotations__": {"x": int, "strength": float}},
        {"action_space": ConstantReward.action_space},
        {"cells": Array(UInt8, 6)},
        {"observation_space": Box(-1, 1, (1, 3))},
        {"observe": _drawn},
    ],
)
def test_whatever_decides_the_code_changes_the_fingerprint(change: dict[str, object]) -> None:
    assert cache.fingerprint(lever()) == cache.fingerprint(lever())
    assert cache.fingerprint(lever(**change)) != cache.fingerprint(lever())


def test_a_constant_and_the_shape_of_an_array_are_part_of_the_code() -> None:
    def with_cells(*shape: int) -> type[NativeEnv]:
        return lever(cells=Array(UInt8, *shape))

    shapes = [(12,), (3, 4), (4, 3), (2, 6)]
    assert len({cache.fingerprint(with_cells(*shape)) for shape in shapes}) == 4
    sized = GridWorld.variant({"size": 5})
    assert cache.fingerprint(sized) != cache.fingerprint(GridWorld)
    assert cache.fingerprint(sized) != cache.fingerprint(GridWorld.variant({"size": 5, "sight": 5}))


def test_pictures_and_limits_are_not_part_of_the_code() -> None:
    assert cache.fingerprint(lever(render=_slow)) == cache.fingerprint(lever())
    assert cache.fingerprint(lever(max_episode_steps=7)) == cache.fingerprint(lever())


def test_the_value_of_an_option_is_not_part_of_the_code() -> None:
    assert cache.fingerprint(lever(strength=2.0)) == cache.fingerprint(lever())


class _Bad(NativeEnv):
    observation_space = ConstantReward.observation_space
    action_space = ConstantReward.action_space

    def reset(self) -> None: ...

    def observe(self) -> float:
        return 0.0


class Untypable(_Bad):
    def step(self, action: int) -> tuple[float, bool]:
        return self.nowhere, True


class TooMuchSeen(_Bad):
    def step(self, _action: int) -> tuple[float, bool]:
        return 0.0, True

    def observe(self) -> tuple[float, float]:
        return 0.0, 0.0


class WritesItsOption(_Bad):
    strength: float = 1.0

    def step(self, _action: int) -> tuple[float, bool]:
        self.strength = 2.0
        return 0.0, True


class Allocates(_Bad):
    def step(self, action: int) -> tuple[float, bool]:
        return float(len([action] * action)), True


@pytest.mark.parametrize(
    ("env_class", "error", "message"),
    [
        (Untypable, EnvError, "Unknown attribute 'nowhere'"),
        (TooMuchSeen, EnvError, "TooMuchSeen.observe gives 2 numbers, its observation space has 1"),
        (WritesItsOption, EnvError, "WritesItsOption.strength is an option: a step can't write it"),
        (Allocates, UnsupportedError, "Allocates needs Numba's runtime when it steps: NRT_"),
    ],
)
def test_an_env_that_cannot_be_compiled_says_why(env_class: type, error: type, message: str) -> None:
    env = env_class.batch(1)
    with pytest.raises(error) as caught:
        env.bind(EnvBuffers.allocate(env.spec, 2))
    assert message in str(caught.value)
