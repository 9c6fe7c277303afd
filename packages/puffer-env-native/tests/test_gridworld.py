"""The gridworld: its rules, its pixels, and that there always is a way."""

from __future__ import annotations

import numpy as np
import pytest

from puffer_core.contracts.env import EnvBuffers
from puffer_core.errors import UsageError
from puffer_env_native.gridworld import AGENT, DOWN, FLOOR, GOAL, LEFT, RIGHT, UP, WALL, GridWorld, MaskedGridWorld


def grid(picture: str, **options: float) -> GridWorld:
    """An env in a state as drawn: `#` wall, `A` agent, `G` goal."""
    lines = picture.split()
    env = MaskedGridWorld(size=len(lines), scale=1, **options)
    for row, line in enumerate(lines):
        for column, cell in enumerate(line):
            env.walls[row, column] = cell == "#"
            if cell == "A":
                env.row, env.column = row, column
            if cell == "G":
                env.goal_row, env.goal_column = row, column
    return env


def seen(env: GridWorld) -> list[str]:
    """What it shows, drawn."""
    pixels = np.zeros(env.observation_space.shape, np.uint8)
    env.observe(pixels)
    names = {WALL: "#", AGENT: "A", GOAL: "G", FLOOR: "."}
    return ["".join(names[tuple(pixel)] for pixel in line) for line in pixels.tolist()]


ROOM = """
    .#.
    .A.
    .G#
"""


@pytest.mark.parametrize(("action", "to"), [(UP, (1, 1)), (RIGHT, (1, 2)), (LEFT, (1, 0))])
def test_a_move_leads_to_the_next_cell_unless_there_is_a_wall(action: int, to: tuple[int, int]) -> None:
    env = grid(ROOM)
    assert env.step(action) == (0.0, False)
    assert (env.row, env.column) == to


def test_the_grid_has_a_wall_around_it() -> None:
    env = grid("A. .G")
    for action in (UP, LEFT):
        env.step(action)
        assert (env.row, env.column) == (0, 0)


def test_the_goal_ends_the_episode_and_pays_less_the_later() -> None:
    env = grid(ROOM)
    assert env.step(DOWN) == (1 - 0.9 * 1 / 36, True)
    env = grid(ROOM, max_episode_steps=10)
    env.elapsed = 9
    assert env.step(DOWN) == (pytest.approx(0.1), True)


def test_it_shows_every_cell() -> None:
    assert seen(grid(ROOM)) == [".#.", ".A.", ".G#"]


def test_with_sight_it_shows_what_is_around_the_agent() -> None:
    env = grid("A.# ..G #..", sight=3)
    assert seen(env) == ["###", "#A.", "#.."]
    env.step(DOWN)
    env.step(RIGHT)
    assert seen(env) == ["..#", ".AG", "#.."]


def test_cells_are_squares_of_pixels() -> None:
    small, large = GridWorld.batch(3, scale=1), GridWorld.batch(3, scale=4)
    pictures = []
    for env in (small, large):
        buffers = EnvBuffers.allocate(env.spec, 2)
        env.bind(buffers)
        env.reset(5)
        pictures.append(buffers.observation[0])
    np.testing.assert_array_equal(pictures[0].repeat(4, axis=1).repeat(4, axis=2), pictures[1])


def test_moves_into_walls_are_masked() -> None:
    out = np.ones(4, np.bool_)
    env = grid(ROOM)
    env.action_mask(out)
    assert out.tolist() == [False, True, True, True]
    env.step(RIGHT)
    env.action_mask(out)
    assert out.tolist() == [True, False, False, True]


def reachable(walls: np.ndarray, start: tuple[int, int], goal: tuple[int, int]) -> bool:
    found, size = np.zeros(walls.shape, np.bool_), len(walls)
    found[start] = True
    for _ in range(size * size):
        wide = np.pad(found, 1)
        found = (found | wide[2:, 1:-1] | wide[:-2, 1:-1] | wide[1:-1, 2:] | wide[1:-1, :-2]) & (walls == 0)
    return bool(found[goal])


@pytest.mark.parametrize("density", [0.3, 1.0])
def test_there_is_a_way_to_the_goal(density: float) -> None:
    env = GridWorld.batch(300, size=6, scale=1, density=density)
    env.bind(EnvBuffers.allocate(env.spec, 2))
    env.reset(0)
    fields = env.snapshot()["fields"]
    for i in range(300):
        start, goal = ((fields[r][i], fields[c][i]) for r, c in (("row", "column"), ("goal_row", "goal_column")))
        assert start != goal
        assert reachable(fields["walls"][i], start, goal)
    assert 0.1 < fields["walls"].mean() < 0.95 * density


def test_agents_and_goals_are_everywhere() -> None:
    env = GridWorld.batch(5000, size=4, scale=1)
    env.bind(EnvBuffers.allocate(env.spec, 2))
    env.reset(0)
    fields = env.snapshot()["fields"]
    for names in (("row", "column"), ("goal_row", "goal_column")):
        cells = np.bincount(4 * fields[names[0]] + fields[names[1]], minlength=16)
        assert (np.abs(cells - 312) < 90).all()


def test_the_limit_follows_the_size() -> None:
    assert GridWorld.batch(1).spec.max_episode_steps == 256
    assert GridWorld.batch(1, size=5).spec.max_episode_steps == 100
    assert GridWorld.batch(1, size=5, max_episode_steps=7).spec.max_episode_steps == 7


@pytest.mark.parametrize("options", [{"size": 1}, {"scale": 0}, {"sight": 2}, {"sight": -1}])
def test_sizes_that_make_no_grid_are_usage_errors(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="expected size >= 2, scale >= 1 and sight 0 or odd"):
        GridWorld.batch(1, **options)
