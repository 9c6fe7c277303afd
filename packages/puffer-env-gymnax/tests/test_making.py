"""Ids, options and spaces, and what is said of those that do not fit."""

from __future__ import annotations

import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces

from puffer_core.errors import EnvError, UnsupportedError, UsageError
from puffer_env_gymnax.making import make
from puffer_env_gymnax.spaces import to_gymnasium


def test_parameters_and_constructor_arguments_are_options() -> None:
    env = make(2, env_id="Breakout-MinAtar", max_steps_in_episode=70, use_minimal_action_set=False)
    assert env.spec.max_episode_steps == 70
    assert env.spec.action.mask_size == 6
    assert make(1, env_id="CartPole-v1", gravity=2)._params.gravity == 2.0


@pytest.mark.parametrize(
    ("id", "options", "words"),
    [
        ("CartPol-v1", {}, "Did you mean CartPole-v1"),
        ("CartPole-v1", {"gravitty": 1}, "Did you mean gravity"),
        ("CartPole-v1", {"gravity": "heavy"}, "gravity is 'heavy', expected a value like 9.8"),
        ("CartPole-v1", {"max_steps_in_episode": 2.5}, "max_steps_in_episode is 2.5"),
        ("CartPole-v1", {"max_steps_in_episode": 0}, "expected at least 1"),
    ],
)
def test_what_does_not_fit_is_named(id: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        make(1, env_id=id, **options)
    assert words in str(caught.value)


def test_a_module_may_register_the_env(tmp_path, monkeypatch) -> None:
    lines = ["import gymnax", "from gymnax.environments.classic_control.pendulum import Pendulum"]
    lines += ["gymnax.register('Swing-v0', Pendulum)"]
    (tmp_path / "swings_of_a_test.py").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert make(1, env_id="swings_of_a_test:Swing-v0").spec.id == "gymnax:Swing-v0"
    with pytest.raises(EnvError, match="no_such_module cannot be imported"):
        make(1, env_id="no_such_module:Swing-v0")


def test_spaces_keep_bounds_shapes_and_dtypes() -> None:
    box = to_gymnasium("none", "observation", spaces.Box(jnp.array([-1.0, -2.0]), 3.0, (2,)))
    assert box == gymnasium.spaces.Box(np.float32([-1, -2]), np.float32(3), (2,))
    picture = to_gymnasium("none", "observation", spaces.Box(0, 255, (4, 4, 1), jnp.uint8))
    assert picture == gymnasium.spaces.Box(0, 255, (4, 4, 1), np.uint8)


def test_other_spaces_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="gymnax:none: the action space is Tuple"):
        to_gymnasium("none", "action", spaces.Tuple([spaces.Discrete(2)]))
