from __future__ import annotations

import json

import numpy as np
import pytest

from puffer_core.contracts.checkpointable import Checkpointable
from puffer_core.errors import CheckpointError
from puffer_core.streams import Streams

FIRST_NUMBERS = [569, 974, 822, 138]
FIRST_FIXED = 3496226756810227621


def test_a_stream_depends_on_seed_and_name_alone() -> None:
    one, other = Streams(3), Streams(3)
    first = {name: one.generator(name).random(4).tolist() for name in ("env", "policy", "noise")}
    second = {name: other.generator(name).random(4).tolist() for name in ("noise", "env", "policy")}
    assert first == second


def test_names_and_seeds_give_different_streams() -> None:
    draws = [Streams(seed).generator(name).integers(2**63) for seed in (0, 1, 2**62) for name in ("a", "b", "")]
    assert len(set(draws)) == len(draws)


def test_the_first_numbers_never_change_between_versions() -> None:
    assert Streams(0).generator("env").integers(1000, size=4).tolist() == FIRST_NUMBERS
    assert Streams(0).fixed("env") == FIRST_FIXED


def test_a_name_gives_the_same_generator_each_time() -> None:
    streams = Streams(0)
    assert streams.generator("a") is streams.generator("a")


def test_fixed_numbers_fit_63_bits_and_draw_from_no_stream() -> None:
    streams = Streams(5)
    assert all(0 <= streams.fixed(str(i)) < 2**63 for i in range(200))
    assert streams.state_dict()["streams"] == {}


def test_state_goes_through_json_and_streams_go_on() -> None:
    streams = Streams(9)
    generator = streams.generator("x")
    generator.integers(10, dtype=np.uint32)  # leaves half a word in the generator
    state = json.loads(json.dumps(streams.state_dict()))
    expected = generator.integers(2**32, size=5, dtype=np.uint32).tolist()

    fresh = Streams(9)
    held = fresh.generator("x")
    fresh.load_state_dict(state)
    assert held.integers(2**32, size=5, dtype=np.uint32).tolist() == expected


def test_a_stream_that_is_asked_for_after_loading_goes_on_too() -> None:
    streams = Streams(9)
    streams.generator("x").random(3)
    fresh = Streams(9)
    fresh.load_state_dict(streams.state_dict())
    assert fresh.generator("x").random() == streams.generator("x").random()


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"seed": "1", "streams": {}}, "seed 1"),
        ({"seed": "0", "streams": {}}, "lack used"),
        ({"seed": "0", "streams": {"used": {"state": "x"}}}, "malformed"),
        ({"streams": {}}, "malformed"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(state: dict[str, object], reason: str) -> None:
    streams = Streams(0)
    generator = streams.generator("used")
    before = generator.bit_generator.state
    with pytest.raises(CheckpointError, match=reason):
        streams.load_state_dict(state)
    assert generator.bit_generator.state == before


def test_streams_are_checkpointable() -> None:
    assert isinstance(Streams(0), Checkpointable)
