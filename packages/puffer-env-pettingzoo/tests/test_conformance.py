"""What every env promises, for one environment of each kind that this package adapts."""

from __future__ import annotations

from puffer_testing import EnvConformance


class TestSpread(EnvConformance):
    id = "mpe2:simple_spread_v3"
    steps = 30


class TestContinuousSpread(EnvConformance):
    id = "simple_spread_v3"
    options = {"continuous_actions": True, "N": 2, "global_state": False}
    steps = 30


class TestSpeakerListener(EnvConformance):
    """Agents with unlike spaces."""

    id = "simple_speaker_listener_v4"
    steps = 30


class TestKnightsArchersZombies(EnvConformance):
    """Agents that die; float64."""

    id = "pettingzoo:butterfly/knights_archers_zombies_v11"
    options = {
        "max_cycles": 40,
        "spawn_delay": 2,
        "max_zombies": 6,
        "num_knights": 1,
        "num_archers": 1,
        "line_death": True,
    }
    steps = 60


class TestTicTacToe(EnvConformance):
    id = "tictactoe_v3"
    deterministic = True
    steps = 60


class TestSpreadInTurns(EnvConformance):
    id = "simple_spread_v3"
    options = {"api": "aec", "max_cycles": 5, "N": 2}
    steps = 40


class TestForaging(EnvConformance):
    id = "agents:lbforaging:Foraging-8x8-2p-1f-v3"
    steps = 60


class TestWarehouse(EnvConformance):
    id = "agents:rware:rware-tiny-2ag-v2"
    options = {"max_steps": 20}
    steps = 30
