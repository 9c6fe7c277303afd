"""Making multi-agent environments: which callable makes one, with which options, without a window."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, Literal, TypeAlias

import gymnasium
import pettingzoo

from puffer_core.errors import EnvError, UsageError
from puffer_core.specs import import_target
from puffer_core.vector.gymnasium import make as make_gymnasium
from puffer_core.vector.making import check_options, install_hint, making
from puffer_env_pettingzoo.tuples import TupleAgents
from puffer_env_pettingzoo.turns import Turns
from puffer_env_pettingzoo.vector import AgentsVectorEnv, TeamEnv

Api: TypeAlias = Literal["auto", "parallel", "aec"]

_ATTRIBUTES = {"parallel": "parallel_env", "aec": "env"}
_UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")


def make(
    num_envs: int, *, env_id: str, api: Api = "auto", global_state: bool | None = None, **options: Any
) -> AgentsVectorEnv:
    """A batch of PettingZoo environments.

    Args:
        num_envs: >= 1.
        env_id: `butterfly/pistonball_v6` as in PettingZoo's registry; a module with `parallel_env` or `env`, such as
            `mpe2.simple_spread_v3`; or `module:attribute`, a callable that gives an env.
        api: `parallel`: all agents move at once; `aec`: one after another, a step is one agent's move; `auto`:
            parallel where the environment has it.
        global_state: see `AgentsVectorEnv`.
        options: the environment's own.

    Raises:
        UsageError: an option or API that it does not have.
        UnsupportedError: a space that has no layout, or spaces of its agents that no padding makes alike.
        EnvError: a package is missing or an environment could not be made; says what to install.

    Example:
        >>> env = make(2, env_id="classic/tictactoe_v3")
        >>> env.spec.agents, env.spec.rows
        (('player_1', 'player_2'), 4)
        >>> env.close()
    """
    if api not in ("auto", *_ATTRIBUTES):
        raise UsageError(f"{env_id}: api is {api!r}, expected 'auto', 'parallel' or 'aec'")
    creator = _creator(env_id, api)
    check_options(env_id, _telling(creator), options)
    one = partial(_make_one, env_id, creator, options)
    return AgentsVectorEnv(one, num_envs, id=env_id, global_state=global_state)


def make_tuple(num_envs: int, *, gymnasium_id: str, **options: Any) -> AgentsVectorEnv:
    """A batch of Gymnasium environments whose Tuple spaces have one part an agent, and whose rewards are a list.

    Args:
        num_envs: >= 1.
        gymnasium_id: as `gymnasium.make` takes it, the module that registers it in front:
            `lbforaging:Foraging-8x8-2p-1f-v3`.
        options: the environment's own.

    Raises:
        UsageError: an unknown id or option.
        EnvError: the environment cannot be made, or its spaces are no tuples of one part an agent.

    Example:
        >>> env = make_tuple(1, gymnasium_id="rware:rware-tiny-2ag-v2")
        >>> env.spec.agents
        ('agent_0', 'agent_1')
        >>> env.close()
    """

    def one() -> TeamEnv:
        _stay_headless(options)
        with making(gymnasium_id, options):
            return TupleAgents(make_gymnasium(gymnasium_id=gymnasium_id, **options), gymnasium_id)

    return AgentsVectorEnv(one, num_envs, id=gymnasium_id)


def _creator(env_id: str, api: Api) -> Callable[..., Any]:
    """What makes one environment of this id; of the APIs that there are, the wanted one."""
    try:
        if ":" in env_id:
            creator: Callable[..., Any] = import_target(env_id)
            return creator
        if "/" in env_id:
            entries = {"parallel": pettingzoo.parallel_registry, "aec": pettingzoo.aec_registry}
            key = "-v".join(env_id.rsplit("_v", 1))  # as the registry spells it
            found = {kind: entry[key].entry_point for kind, entry in entries.items() if key in entry}
        else:
            module = import_module(env_id)
            found = {kind: f"{env_id}:{name}" for kind, name in _ATTRIBUTES.items() if hasattr(module, name)}
        for kind in ("parallel", "aec"):
            if kind in found and api in ("auto", kind):
                creator = import_target(found[kind])
                return creator
    except (ImportError, AttributeError) as error:
        raise _not_importable(env_id, error) from error
    if found:
        raise UsageError(f"{env_id} has no {api} API", remedy=f"Use --env.api {next(iter(found))}.")
    raise EnvError(f"{env_id}: no such environment; expected PettingZoo's, or a module with parallel_env or env")


def _not_importable(env_id: str, error: Exception) -> EnvError:
    folder, slash, _ = env_id.partition("/")
    remedy = f"Install it: pip install 'pettingzoo[{folder}]'" if slash else install_hint(error)
    return EnvError(f"{env_id} cannot be imported: {type(error).__name__}: {error}", remedy=remedy)


def _telling(creator: Callable[..., Any]) -> Callable[..., Any]:
    """The callable whose parameters are the options: a wrapper with `**kwargs` holds it, or `raw_env` stands beside."""
    while _takes_any(creator):
        held = [cell.cell_contents for cell in getattr(creator, "__closure__", None) or ()]
        beside = getattr(sys.modules.get(creator.__module__), "raw_env", creator)
        inner: Callable[..., Any] = next((value for value in held if callable(value)), beside)
        if inner is creator:
            break
        creator = inner
    return creator


def _takes_any(creator: Callable[..., Any]) -> bool:
    parameters = inspect.signature(creator).parameters.values()
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)


def _make_one(env_id: str, creator: Callable[..., Any], options: Mapping[str, Any]) -> TeamEnv:
    _stay_headless(options)
    with making(env_id, options):
        try:
            env = creator(**options)
        except TypeError as error:
            unexpected = _UNEXPECTED.search(str(error))
            if unexpected and unexpected[1] in options:
                raise UsageError(f"{env_id} has no option {unexpected[1]!r}") from error
            raise
    if isinstance(env, pettingzoo.AECEnv):
        return Turns(env)
    if isinstance(env, gymnasium.Env):
        return TupleAgents(env, env_id)
    if isinstance(env, pettingzoo.ParallelEnv):
        parallel: TeamEnv = env
        return parallel
    raise EnvError(f"{env_id} gave {env!r}, expected a pettingzoo.ParallelEnv or AECEnv")


def _stay_headless(options: Mapping[str, Any]) -> None:
    """Keep pygame off the screen, unless a window is asked for.

    Some envs initialise pygame's display only to draw observations: that opens a window, or fails where there is no
    screen. SDL reads this variable when the display is initialised, so it is set before an env is made, not on import:
    who imports this package for its names keeps pygame as it was.
    """
    if options.get("render_mode") != "human":
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
