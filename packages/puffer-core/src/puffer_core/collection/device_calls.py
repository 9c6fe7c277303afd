"""Calling a device env's two functions: what they raise, or give otherwise than its spec says, is told as the env's.

On engines that compile, this costs once a program; elsewhere some microseconds a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from traceback import walk_tb
from typing import Any, TypeVar

from puffer_core.arrays import Tree, named_leaves
from puffer_core.contracts.env import DeviceEnv, DeviceStart, DeviceStep, VectorEnvSpec
from puffer_core.contracts.ops import Ops, Rng
from puffer_core.errors import EnvError, PufferError
from puffer_core.plugins.faults import one_line
from puffer_core.quoting import error_text

T = TypeVar("T", DeviceStart, DeviceStep)
Shapes = dict[str, tuple[int, ...]]

_FLAGS = ("terminated", "truncated")
_REMEDY = "`puffer envs check ENV` tries an env in parts; docs/device_envs.md says what its functions may do"


def call_reset(env: DeviceEnv, ops: Ops, rng: Rng) -> DeviceStart:
    """First states and observations of every row.

    Raises:
        EnvError: `reset` fails, or gives something else than `env.spec` says.
    """
    try:
        begun = env.reset(ops, rng)
    except PufferError:
        raise
    except Exception as error:
        raise _failed(env, "reset", error) from error
    return _checked(env.spec, "reset", begun, DeviceStart, {})


def call_step(env: DeviceEnv, ops: Ops, state: Tree, action: Tree, rng: Rng) -> DeviceStep:
    """Next states and outcomes of every row.

    Raises:
        EnvError: `step` fails, or gives something else than `env.spec` says; or a state of another form than it got.
    """
    spec = env.spec
    try:
        outcome = env.step(ops, state, action, rng)
    except PufferError:
        raise
    except Exception as error:
        raise _failed(env, "step", error) from error
    expected: dict[str, Shapes] = {name: {"": (spec.rows,)} for name in ("reward", *_FLAGS)}
    expected |= {"state": _shapes(state), "final_observation": _observation(spec)}
    outcome = _checked(spec, "step", outcome, DeviceStep, expected)
    for name in _FLAGS:
        if (dtype := getattr(outcome, name).dtype) != ops.bool:
            raise EnvError(f"{spec.id}: step gave {name} of dtype {dtype}, expected bool", remedy=_REMEDY)
    return outcome


def _checked(spec: VectorEnvSpec, call: str, got: Any, kind: type[T], expected: Mapping[str, Shapes]) -> T:
    if not isinstance(got, kind):
        raise EnvError(f"{spec.id}: {call} gave a {type(got).__name__}, expected a {kind.__name__}", remedy=_REMEDY)
    for name, wanted in {"observation": _observation(spec), **expected}.items():
        if (given := _shapes(getattr(got, name))) != wanted:
            raise EnvError(
                f"{spec.id}: {call} gave {name} of shape {_words(given)}, expected {_words(wanted)}", remedy=_REMEDY
            )
    extras = {"action_mask": spec.action_mask, "global_state": spec.global_state is not None}
    for name, has in extras.items():
        if has and name not in got.extras:
            raise EnvError(f"{spec.id}: {call} gave no extras[{name!r}], which its spec promises", remedy=_REMEDY)
    return got


def _observation(spec: VectorEnvSpec) -> Shapes:
    return {leaf.name: (spec.rows, *leaf.shape) for leaf in spec.observation.leaves}


def _shapes(tree: Tree) -> Shapes:
    return {name: tuple(getattr(x, "shape", ())) for name, x in named_leaves(tree)}


def _words(shapes: Shapes) -> str:
    """The shape; of several arrays each with its name."""
    return str(shapes[""] if set(shapes) == {""} else shapes)


def _failed(env: DeviceEnv, call: str, error: Exception) -> EnvError:
    """The error, and the last line of the env's own module that was running."""
    module = type(env).__module__
    lines = [line for frame, line in walk_tb(error.__traceback__) if frame.f_globals.get("__name__") == module]
    place = f" (in {module}, line {lines[-1]})" if lines else ""
    return EnvError(f"{env.spec.id}: {call} failed{place}: {one_line(error_text(error))}", remedy=_REMEDY)
