"""From a registered environment to a vector env, by its interface."""

from __future__ import annotations

import importlib.util
from typing import Any

import gymnasium
import pytest

from puffer_core.errors import EnvError, PluginError, UnsupportedError, UsageError
from puffer_core.plan import VectorConfig
from puffer_core.plugins import Provided
from puffer_core.specs import EnvSpec
from puffer_core.vector import SerialVectorEnv, make_vector_env
from puffer_core.vector.gymnasium import make, resolve
from puffer_core.vector.making import check_options, install_hint


def provided(**spec: Any) -> Provided:
    given = {"name": "mine", "summary": "a test", "target": "mine:make", **spec}
    return Provided(EnvSpec(**given), "puffer-mine", "1.0")


def cartpole(render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    return gymnasium.make("CartPole-v1", render_mode=render_mode)


def batch(num_envs: int, length: int = 1, *, family: str = "") -> SerialVectorEnv:
    return SerialVectorEnv(cartpole, num_envs, id=f"batch{family}")


@pytest.mark.parametrize("mode", ["auto", "serial"])
def test_a_gymnasium_env_is_stepped_in_serial(mode: Any) -> None:
    env = make_vector_env(provided(), cartpole, {}, VectorConfig(num_envs=3, mode=mode))
    assert isinstance(env, SerialVectorEnv)
    assert (env.spec.id, env.spec.rows) == ("mine", 3)
    env.close()


@pytest.mark.parametrize("mode", ["auto", "native"])
def test_a_vector_target_is_called_with_the_number_of_envs_and_its_arguments(mode: Any) -> None:
    spec = provided(interface="vector", arguments=(("family", "-a"),))
    env = make_vector_env(spec, batch, {"length": 3}, VectorConfig(num_envs=2, mode=mode))
    assert (env.spec.id, env.spec.rows) == ("batch-a", 2)
    env.close()


@pytest.mark.parametrize(
    ("interface", "mode", "remedy"),
    [("gymnasium", "native", "Use auto, serial or process."), ("vector", "serial", "Use auto, native or process.")],
)
def test_a_mode_that_does_not_work_names_those_that_do(interface: str, mode: Any, remedy: str) -> None:
    with pytest.raises(UsageError, match=f"--vector.mode {mode} does not work for mine") as caught:
        make_vector_env(provided(interface=interface), batch, {}, VectorConfig(mode=mode))
    assert caught.value.remedy == remedy


def test_device_envs_are_not_batched_here() -> None:
    with pytest.raises(UnsupportedError, match="interface 'device'"):
        make_vector_env(provided(interface="device"), batch, {}, VectorConfig())


@pytest.mark.parametrize("interface", ["gymnasium", "vector"])
def test_an_unknown_option_gets_the_nearest(interface: str) -> None:
    target = {"gymnasium": cartpole, "vector": batch}[interface]
    option = {"gymnasium": "rendermode", "vector": "lenght"}[interface]
    with pytest.raises(UsageError, match=f"mine has no option '{option}'") as caught:
        make_vector_env(provided(interface=interface), target, {option: 1}, VectorConfig())
    assert caught.value.remedy in ("Did you mean render_mode?", "Did you mean length?")


@pytest.mark.parametrize("interface", ["gymnasium", "vector"])
def test_what_a_target_raises_is_told_with_its_options(interface: str) -> None:
    def failing(*args: Any, **options: Any) -> Any:
        raise KeyError("9x9")

    with pytest.raises(EnvError, match="mine cannot be made with map='9x9': KeyError: '9x9'"):
        make_vector_env(provided(interface=interface), failing, {"map": "9x9"}, VectorConfig())


def test_errors_on_purpose_pass_as_they_are() -> None:
    def refusing() -> Any:
        raise PluginError("mine")

    with pytest.raises(PluginError):
        make_vector_env(provided(), refusing, {}, VectorConfig())


def test_a_vector_target_that_gives_something_else_is_refused() -> None:
    with pytest.raises(EnvError, match="mine:make gave 3, expected a VectorEnv"):
        make_vector_env(provided(interface="vector"), lambda num_envs: 3, {}, VectorConfig())


@pytest.mark.parametrize(
    ("id", "module", "command"),
    [
        ("LunarLander-v3", "Box2D", 'pip install "gymnasium[box2d]"'),
        ("Ant-v5", "mujoco", 'pip install "gymnasium[mujoco]"'),
        ("phys2d/CartPole-v1", "jax", "pip install jax"),
    ],
)
def test_a_missing_package_comes_with_the_command_that_installs_it(id: str, module: str, command: str) -> None:
    if importlib.util.find_spec(module):
        pytest.skip(f"{module} is installed")
    with pytest.raises(EnvError, match=f"{id} cannot be made") as caught:
        make_vector_env(Provided(resolve(id), "puffer-core", "1"), make, {}, VectorConfig())  # type: ignore[arg-type]
    assert command in caught.value.remedy


def test_no_command_is_offered_where_nothing_is_missing() -> None:
    assert install_hint(ValueError("pip install x")) == ""
    assert install_hint(ImportError("circular")) == ""


def test_compiled_targets_are_not_asked_for_their_options() -> None:
    check_options("mine", dict, {"anything": 1})
    with pytest.raises(UsageError, match="It has none"):
        check_options("mine", lambda: None, {"anything": 1})
