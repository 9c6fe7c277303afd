"""Workers play exactly what one process plays."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from puffer_core.errors import UsageError
from puffer_core.plan import VectorConfig
from puffer_core.vector import make_vector_env
from puffer_testing.components import host
from puffer_testing.playing import Player, Recorded, difference


def played(id: str, options: dict[str, Any], vector: VectorConfig, steps: int = 30) -> Recorded:
    provided = host().find_env(id)
    with closing(make_vector_env(provided, host().load(provided), dict(options), vector)) as env:
        player = Player(env)
        player.reset(seed=5)
        return player.run(steps)


@pytest.mark.parametrize(
    ("id", "options"),
    [
        ("simple_speaker_listener_v4", {"max_cycles": 10}),
        ("knights_archers_zombies_v11", {"max_cycles": 25, "line_death": True, "spawn_delay": 2}),
        ("tictactoe_v3", {}),
        ("agents:lbforaging:Foraging-8x8-2p-1f-v3", {}),
    ],
)
def test_processes_play_what_one_process_plays(id: str, options: dict[str, Any]) -> None:
    alone = played(id, options, VectorConfig(num_envs=3))
    shared = played(id, options, VectorConfig(num_envs=3, mode="process", workers=1))
    assert not difference(alone, shared)


def test_an_option_that_there_is_not_is_refused_before_a_worker_is_started() -> None:
    with pytest.raises(UsageError, match="has no option 'max_cycle'"):
        played("simple_spread_v3", {"max_cycle": 3}, VectorConfig(num_envs=2, mode="process", workers=1))
