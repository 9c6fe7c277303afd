"""The table of cases that every engine's ops are compared with NumPy on: one entry at least for each op.

Inputs are drawn from a seeded generator, in float64; a float32 run rounds them first. They are small, for every
floating-point element is also moved twice by finite differences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import gymnasium
import numpy as np

from puffer_core.arrays import Tree
from puffer_core.contracts.ops import Ops
from puffer_core.distributions import action_distribution, to_env
from puffer_core.normalisers import moments_update, normalise, return_moments, scale_reward
from puffer_core.returns import discount_and_bootstrap, gae, lambda_returns, vtrace
from puffer_core.spaces.layout import Layout

Draw: TypeAlias = Callable[[np.random.Generator], np.ndarray]
"""One input."""


@dataclass(frozen=True)
class OpCase:
    """One use of an op.

    Args:
        id: name of the case.
        op: name of the op, or of the function of the core that is built on several.
        fn: called as `fn(ops, *inputs)`; gives a tree of arrays.
        inputs: what draws each input.
        differentiable: whether its gradient is compared with finite differences of the NumPy reference.
    """

    id: str
    op: str
    fn: Callable[..., Tree]
    inputs: tuple[Draw, ...]
    differentiable: bool = True

    @property
    def has_gradient(self) -> bool:
        """Whether there is one to compare: it is differentiable, in a floating-point input at least."""
        return self.differentiable and any(x.dtype.kind == "f" for x in self.draw(np.float64))

    def draw(self, dtype: type[np.floating[Any]]) -> tuple[np.ndarray, ...]:
        """The inputs, the same at every call; floating-point ones in `dtype`."""
        generator = np.random.default_rng(sum(map(ord, self.id)))
        drawn = (np.asarray(draw(generator)) for draw in self.inputs)
        return tuple(x.astype(dtype) if x.dtype.kind == "f" else x for x in drawn)


def normal(*shape: int, scale: float = 1.0) -> Draw:
    """Around 0."""
    return lambda generator: scale * generator.standard_normal(shape)


def positive(*shape: int) -> Draw:
    """0.2 to 2."""
    return lambda generator: generator.uniform(0.2, 2.0, shape)


def share(*shape: int) -> Draw:
    """0 to 1."""
    return lambda generator: generator.uniform(0.0, 1.0, shape)


def flags(*shape: int) -> Draw:
    """About a third True."""
    return lambda generator: generator.random(shape) < 0.35


def integers(stop: int, *shape: int) -> Draw:
    """0 to `stop - 1`, int64."""
    return lambda generator: generator.integers(0, stop, shape)


def exactly(values: Any, dtype: Any = np.float64) -> Draw:
    """These."""
    return lambda _: np.array(values, dtype)


def case(op: str, *inputs: Draw, id: str = "", differentiable: bool = True, **keywords: Any) -> OpCase:
    """`ops.OP(*inputs, **keywords)`."""
    label = ",".join(f"{name}={value}" for name, value in keywords.items())
    return OpCase(
        id or (f"{op}[{label}]" if label else op),
        op,
        lambda ops, *arrays: getattr(ops, op)(*arrays, **keywords),
        inputs,
        differentiable,
    )


def built(op: str, fn: Callable[..., Tree], *inputs: Draw, id: str = "", differentiable: bool = True) -> OpCase:
    """A case whose call is written out."""
    return OpCase(id or op, op, fn, inputs, differentiable)


_EXTREME = exactly([-1e30, -500.0, -88.0, -30.0, -0.0, 0.0, 1e-8, 30.0, 88.0, 500.0])

MAKING = [
    built("asarray", lambda ops: ops.asarray([1.0, 2.5])),
    built("asarray", lambda ops: ops.asarray([3, 4]), id="asarray-ints"),
    built(
        "asarray", lambda ops, x: ops.asarray(x, dtype=ops.float64), normal(2), id="asarray-dtype", differentiable=False
    ),
    built("zeros", lambda ops: (ops.zeros((2, 3)), ops.zeros((), dtype=ops.int64))),
    built("ones", lambda ops: (ops.ones((2, 0)), ops.ones((3,), dtype=ops.bool))),
    built("full", lambda ops: (ops.full((2,), 0.5), ops.full((2,), 7, dtype=ops.uint8))),
    built("arange", lambda ops: (ops.arange(4), ops.arange(3, dtype=ops.float32))),
    case("zeros_like", normal(2, 3)),
    case("ones_like", normal(2, 3)),
    built("astype", lambda ops, x: ops.astype(x, ops.float64), normal(3), id="astype-float64", differentiable=False),
    built("astype", lambda ops, x: ops.astype(x, ops.int32), normal(5, scale=3), differentiable=False),
    built("astype", lambda ops, x: ops.astype(x, ops.float32), flags(5), id="astype-bool", differentiable=False),
    built("astype", lambda ops, x: ops.astype(x, ops.bool), integers(2, 5), id="astype-to-bool", differentiable=False),
]

ELEMENTWISE = [
    *(case(op, normal(3, 4)) for op in ("abs", "exp", "expm1", "square", "sin", "cos", "tanh", "floor", "sign")),
    *(case(op, positive(3, 4)) for op in ("log", "log1p", "sqrt")),
    case("isfinite", exactly([0.0, np.inf, -np.inf, np.nan]), differentiable=False),
    case("logical_and", flags(8), flags(8), differentiable=False),
    case("logical_or", flags(8), flags(8), differentiable=False),
    case("logical_not", flags(8), differentiable=False),
    case("maximum", normal(3, 4), normal(4)),
    case("minimum", normal(3, 1), normal(4)),
    built("clip", lambda ops, x: ops.clip(x, -0.5, 0.8), normal(12)),
    built("clip", lambda ops, x: ops.clip(x, 0.3, float("inf")), normal(12), id="clip-one-side"),
    built("clip", lambda ops, x, w: ops.clip(x, -w, w), normal(3, 4), positive(4), id="clip-arrays"),
    case("where", flags(3, 4), normal(3, 4), normal(3, 1)),
    built("where", lambda ops, c, x: ops.where(c, x, -1.0), flags(9), normal(9), id="where-scalar-b"),
    built("where", lambda ops, c, x: ops.where(c, 0.0, x), flags(9), normal(9), id="where-scalar-a"),
    built("operators", lambda _, a, b: (a + 2 * b - 1, -a / b, a**2, (a > b) & ~(a >= 0.5)), normal(6), positive(6),
          differentiable=False),
    built("operators", lambda _, a: (a[1:], a[:-1, 0], a[None], a[..., None], a[-1]), normal(3, 2), id="slices"),
]  # fmt: skip

AXES = [
    *(
        case(op, normal(3, 4, 2), axis=axis, keepdims=keepdims)
        for op in ("sum", "mean", "max", "min")
        for axis, keepdims in ((None, False), (-1, True), ((0, 2), False))
    ),
    *(case(op, flags(3, 4), axis=axis, differentiable=False) for op in ("any", "all") for axis in (None, 1)),
    built("sum", lambda ops, x: ops.sum(x, axis=0), flags(5, 2), id="sum-bool", differentiable=False),
    case("argmax", normal(3, 5), axis=-1, differentiable=False),
    case("argmax", exactly([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]), id="argmax-first", axis=1, differentiable=False),
    case("cumulative_sum", normal(3, 4), axis=0),
    case("cumulative_sum", normal(3, 4), axis=-1),
]

SHAPES = [
    built("reshape", lambda ops, x: ops.reshape(x, (3, -1)), normal(2, 3, 2)),
    built("reshape", lambda ops, x: ops.reshape(x, ()), normal(1, 1), id="reshape-scalar"),
    built("permute_dims", lambda ops, x: ops.permute_dims(x, (2, 0, 1)), normal(2, 3, 4)),
    case("expand_dims", normal(2, 3), axis=-1),
    case("expand_dims", normal(2, 3), axis=1),
    case("squeeze", normal(2, 1, 3), axis=1),
    built("broadcast_to", lambda ops, x: ops.broadcast_to(x, (2, 3, 4)), normal(3, 1)),
    built("concat", lambda ops, a, b: ops.concat([a, b], axis=1), normal(2, 1), normal(2, 3)),
    built("stack", lambda ops, a, b: ops.stack((a, b), axis=-1), normal(2, 3), normal(2, 3)),
    case("flip", normal(3, 2), axis=0),
    case("take", normal(4, 3), integers(4, 6), axis=0),
    case("take", normal(2, 3), integers(3, 2), axis=-1),
    case("take_along_axis", normal(2, 3, 4), integers(4, 2, 3, 1), axis=-1),
    case("take_along_axis", normal(2, 5), integers(5, 2, 3), axis=1),
    case("take_along_axis", normal(4, 3), integers(4, 2, 3), axis=0),
    case("spread", normal(3, 4), axis=0),
    case("matmul", normal(2, 3), normal(3, 4)),
    case("matmul", normal(2, 1, 3, 2), normal(4, 2, 3), id="matmul-batch"),
]

_LSTM = (normal(4, 2, 3), normal(2, 2), normal(2, 2), flags(4, 2), normal(3, 8), normal(2, 8), normal(8))
_GRU = (normal(4, 2, 3), normal(2, 2), flags(4, 2), normal(3, 6), normal(2, 6), normal(6), normal(6))


def _lstm(ops: Ops, x: Any, h: Any, c: Any, *rest: Any) -> Tree:
    return ops.lstm(x, (h, c), *rest)


NETWORKS = [
    case("linear", normal(2, 3, 4), normal(4, 5), normal(5)),
    case("linear", normal(3, 4), normal(4, 1), id="linear-no-bias"),
    *(case(op, normal(3, 4, scale=2)) for op in ("relu", "sigmoid", "silu", "gelu", "softplus")),
    *(case(op, _EXTREME, id=f"{op}-extreme", differentiable=False) for op in ("sigmoid", "softplus", "relu")),
    *(case(op, normal(3, 4), axis=axis) for op in ("softmax", "log_softmax") for axis in (-1, 0)),
    case("softmax", exactly([[-1e38, 3e4, 3e4 - 5, 0]]), id="softmax-extreme", axis=-1, differentiable=False),
    case("log_softmax", exactly([[1e4, 1e4 - 3, -1e4]]), id="log_softmax-extreme", axis=-1, differentiable=False),
    built("one_hot", lambda ops, i: ops.one_hot(i, 3), exactly([[0, 2], [3, -1]], np.int64)),
    built("one_hot", lambda ops, i: ops.one_hot(i, 2, dtype=ops.int32), integers(2, 4), id="one_hot-dtype"),
    case("layer_norm", normal(2, 3, 5), normal(5), normal(5)),
    case("layer_norm", normal(2, 5), normal(5), normal(5), epsilon=0.1),
    case("embedding", integers(4, 2, 3), normal(4, 2)),
    case("conv2d", normal(2, 5, 4, 2), normal(3, 2, 2, 3), normal(3)),
    case("conv2d", normal(1, 5, 6, 1), normal(3, 3, 1, 2), normal(2), stride=2, padding=1),
    case("attention", normal(2, 3, 4), normal(2, 5, 4), normal(2, 5, 2)),
    built(
        "attention",
        lambda ops, q, k, v: ops.attention(q, k, v, mask=ops.asarray(np.tri(4, dtype=bool))),
        normal(2, 4, 3),
        normal(2, 4, 3),
        normal(2, 4, 3),
        id="attention-causal",
    ),
    built("lstm", _lstm, *_LSTM),
    built("lstm", _lstm, normal(1, 2, 3), *_LSTM[1:3], flags(1, 2), *_LSTM[4:], id="lstm-one-step"),
    case("gru", *_GRU),
]


def _rate_of_change(ops: Ops, carry: Any, xs: Any) -> Tree:
    def body(state: dict[str, Any], x: dict[str, Any]) -> tuple[dict[str, Any], tuple[Any, Any]]:
        new = ops.tanh(state["h"] * x["a"]) + x["b"]
        return {"h": new}, (new - state["h"], new * 2)

    return ops.scan(body, {"h": carry}, {"a": xs, "b": xs[:, :1]})


def _doubling(ops: Ops, x: Any) -> Tree:
    """Double until the sum passes 100, and count."""
    state = {"x": x, "count": ops.zeros((), dtype=ops.int64)}
    return ops.while_loop(
        lambda s: ops.sum(s["x"]) < 100.0, lambda s: {"x": s["x"] * 2, "count": s["count"] + 1}, state
    )


SEQUENCES = [
    case("linear_recurrence", share(6, 3), normal(6, 3), normal(3)),
    case("linear_recurrence", share(6, 3), normal(6, 3), normal(3), reverse=True),
    case("linear_recurrence", share(1), normal(1), normal(), id="linear_recurrence-one-step"),
    built("linear_recurrence", lambda ops, d, x, y: ops.linear_recurrence(d * (d > 0.3), x, y, reverse=True),
          share(5, 2, 2), normal(5, 2, 2), normal(2, 2), id="linear_recurrence-cut"),
    built("scan", _rate_of_change, normal(3), normal(4, 3)),
    built("scan", lambda ops, x: ops.scan(lambda c, _: (c * 1.5, c), x, (), length=3), normal(2), id="scan-length"),
    built("while_loop", _doubling, positive(3), differentiable=False),
    built("while_loop", lambda ops, x: ops.while_loop(lambda s: s > 0.0, lambda s: s - 1.0, ops.sum(x) * 0.0 - 1.0),
          normal(2), id="while_loop-never", differentiable=False),
    built("stop_gradient", lambda ops, x: ops.stop_gradient(x) + 0.0, normal(3), differentiable=False),
    built("spread", lambda ops, x: ops.spread(x, axis=1) + 0.0, normal(3, 4)),
]  # fmt: skip


def _distribution(space: gymnasium.Space[Any], *names: str, masked: bool = False) -> Callable[..., Tree]:
    layout = Layout.of(space)

    def fn(ops: Ops, action: Any, *rest: Any) -> Tree:
        outputs = dict(zip(names, rest, strict=False))
        distribution = action_distribution(ops, layout, outputs, rest[-1] if masked else None)
        mode = distribution.mode()
        return distribution.log_prob(action), distribution.entropy(), mode, to_env(ops, layout, mode)

    return fn


def _joint(ops: Ops, gear: Any, speed: Any, logits: Any, mean: Any, log_std: Any, mask: Any) -> Tree:
    layout = Layout.of(_spaces.Dict(gear=_spaces.Discrete(3), speed=_BOX))
    outputs = {"logits.gear": logits, "mean.speed": mean, "log_std.speed": log_std}
    distribution = action_distribution(ops, layout, outputs, mask)
    mode = distribution.mode()
    log_prob = distribution.log_prob({"gear": gear % 2, "speed": speed})
    return log_prob, distribution.entropy(), mode, to_env(ops, layout, mode)


_spaces = gymnasium.spaces
_BOX = _spaces.Box(-1, 3, (2,), np.float64)  # of float32 it would round, which has no gradient
_MASK = exactly([[[True, True, False], [True, False, False]]], np.bool_)
_MOMENTS = (normal(3), positive(3), exactly(12.0))


def _gae(ops: Ops, value: Any, reward: Any, terminated: Any, truncated: Any, active: Any) -> Tree:
    reward, discount = discount_and_bootstrap(ops, reward, terminated, truncated, 2 * reward, 0.9)
    return (*gae(ops, value, reward, discount, lambda_=0.8, active=active), discount)


def _moments(mean: Any, variance: Any, count: Any) -> dict[str, Any]:
    return {"mean": mean, "variance": variance, "count": count}


def _observed(ops: Ops, mean: Any, variance: Any, count: Any, x: Any, weight: Any) -> Tree:
    moments = moments_update(ops, _moments(mean, variance, count), x, weight)
    return moments, normalise(ops, moments, x, clip=1.5)


def _rewarded(ops: Ops, mean: Any, variance: Any, count: Any, running: Any, reward: Any, done: Any) -> Tree:
    moments, running = return_moments(ops, _moments(mean, variance, count), running, reward, done, 0.9)
    return moments, running, scale_reward(ops, moments, reward)


CORE = [
    built("gae", _gae, normal(6, 2), normal(5, 2), flags(5, 2), flags(5, 2), flags(5, 2), differentiable=False),
    built("vtrace", lambda ops, *x: tuple(vtrace(ops, *x, lambda_=0.9, rho_clip=1.2)),
          normal(6, 2), normal(5, 2), share(5, 2), normal(5, 2), differentiable=False),
    built("lambda_returns", lambda ops, *x: lambda_returns(ops, *x, lambda_=0.9), normal(6, 2), normal(5, 2),
          share(5, 2)),
    built("categorical", _distribution(_spaces.Discrete(3), "logits"), integers(3, 4, 2), normal(4, 2, 3)),
    built("categorical", _distribution(_spaces.Discrete(3), "logits", masked=True),
          exactly([[1, 0]], np.int64), normal(1, 2, 3), _MASK, id="categorical-masked"),
    built("multi_categorical", _distribution(_spaces.MultiDiscrete([2, 3]), "logits"), integers(2, 4, 2), normal(4, 5)),
    built("bernoulli", _distribution(_spaces.MultiBinary(3), "logits"), integers(2, 4, 3), normal(4, 3)),
    built("joint", _joint, integers(3, 4), normal(4, 2), normal(4, 3), normal(4, 2), normal(4, 2),
          exactly([[True, True, False]] * 4, np.bool_)),
    built("gaussian", _distribution(_BOX, "mean", "log_std"), normal(4, 2), normal(4, 2), normal(4, 2)),
    built("moments_update", _observed, *_MOMENTS, normal(4, 2, 3), share(4, 2), differentiable=False),
    built("return_moments", _rewarded, normal(), positive(), exactly(5.0), normal(2), normal(6, 2), flags(6, 2),
          differentiable=False),
]  # fmt: skip

CASES: tuple[OpCase, ...] = (*MAKING, *ELEMENTWISE, *AXES, *SHAPES, *NETWORKS, *SEQUENCES, *CORE)
"""All cases, ids unique."""

DIFFERENTIABLE: tuple[OpCase, ...] = tuple(case for case in CASES if case.has_gradient)
"""Those whose gradient is compared with finite differences."""
