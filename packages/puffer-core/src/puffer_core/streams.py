"""Named random streams of one seed: a name gives the same numbers, in whatever order names are asked for."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from puffer_core.contracts.checkpointable import State
from puffer_core.errors import CheckpointError


def sequence(seed: int, name: str) -> np.random.SeedSequence:
    """The seed sequence of a stream: the run's seed, spawned by the SHA-256 of the name.

    Example:
        >>> bool(sequence(0, "env").generate_state(1)[0] == sequence(0, "env").generate_state(1)[0])
        True
    """
    digest = hashlib.sha256(name.encode()).digest()
    words = tuple(int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4))
    return np.random.SeedSequence(seed, spawn_key=words)


class Streams:
    """The random generators of a run, by name. Checkpointable: their states are JSON values.

    Args:
        seed: the run's seed, 0..2**63-1.

    Example:
        >>> streams = Streams(7)
        >>> saved = streams.state_dict()
        >>> first = streams.generator("noise").random()
        >>> first == Streams(7).generator("noise").random()
        True
        >>> first == streams.generator("noise").random()
        False
    """

    STATE_VERSION = 1

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._generators: dict[str, np.random.Generator] = {}

    def generator(self, name: str) -> np.random.Generator:
        """The stream of this name; every call gives the same object, which goes on where it stands."""
        if name not in self._generators:
            self._generators[name] = np.random.Generator(np.random.PCG64(sequence(self.seed, name)))
        return self._generators[name]

    def fixed(self, name: str) -> int:
        """A number in 0..2**63-1 that depends on seed and name alone, to seed a component once.

        Example:
            >>> Streams(7).fixed("env") == Streams(7).fixed("env") != Streams(8).fixed("env")
            True
        """
        return int(sequence(self.seed, name).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def state_dict(self) -> State:
        """Where every stream stands that was asked for; 128-bit numbers as decimal strings."""
        streams = {name: _to_json(self._generators[name]) for name in sorted(self._generators)}
        return {"seed": str(self.seed), "streams": streams}

    def load_state_dict(self, state: State) -> None:
        """Move every stream, those in use included, to where it stood.

        Raises:
            CheckpointError: the state is of another seed, lacks a stream in use, or is malformed; nothing was changed.
        """
        try:
            seed, restored = int(state["seed"]), {name: _from_json(saved) for name, saved in state["streams"].items()}
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the state of the random streams is malformed: {error!r}") from error
        if seed != self.seed:
            raise CheckpointError(f"the random streams were saved with seed {seed}, this run has seed {self.seed}")
        if unknown := sorted(state.keys() - {"seed", "streams"}):
            raise CheckpointError(f"the state of the random streams has {', '.join(unknown)}, which nobody knows")
        missing = sorted(set(self._generators) - set(restored))
        if missing:
            raise CheckpointError(f"the saved random streams lack {', '.join(missing)}, which this run uses")
        for name, saved in restored.items():
            self.generator(name).bit_generator.state = saved


def _to_json(generator: np.random.Generator) -> dict[str, Any]:
    state: Any = generator.bit_generator.state
    numbers = {key: str(value) for key, value in state["state"].items()}
    return {**numbers, "has_uint32": state["has_uint32"], "uinteger": state["uinteger"]}


def _from_json(saved: dict[str, Any]) -> dict[str, Any]:
    numbers = {key: int(saved[key]) for key in ("state", "inc")}
    rest = {key: int(saved[key]) for key in ("has_uint32", "uinteger")}
    return {"bit_generator": "PCG64", "state": numbers, **rest}
