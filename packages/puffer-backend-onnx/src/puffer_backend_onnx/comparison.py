"""A model beside the engine that acts for its policy: how far apart they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from puffer_backend_onnx.config import OnnxConfig
from puffer_backend_onnx.graph import RUNTIME_ERRORS, open_session
from puffer_backend_onnx.step import difference, draws, flat, likeliest, step
from puffer_core.arrays import Params, Tree, map_tree
from puffer_core.contracts.backend import Backend
from puffer_core.contracts.policy import Agent
from puffer_core.errors import UnsupportedError
from puffer_core.numpy_backend import numpy_ops

BATCHES = (1, 2, 3, 7, 64)
"""Rows that a graph is compared at."""

TOLERANCE = 1e-5
"""Of the comparison: see `difference`. Where rounding alone, float32 against float64, makes
more of a difference in the reference itself, as in networks with huge activations: four times that."""


def compare(agent: Agent, data: bytes, config: OnnxConfig, reference: Backend, *, action_mask: bool) -> dict[str, Any]:
    """How far ONNX Runtime is from the reference at every batch.

    Raises:
        UnsupportedError: too far, or it does not run.
    """
    policy, rng, worst = agent.policy, np.random.default_rng(0), 0.0
    session = open_session(data, config.threads)
    names, taken = [value.name for value in session.get_outputs()], {value.name for value in session.get_inputs()}
    run = reference.compile(partial(step, policy=policy, apply=policy.apply))
    params = reference.to_device({name: np.array(x) for name, x in agent.params.items()})
    for rows in BATCHES:
        given = map_tree(lambda draw, rows=rows: draw(rng, rows), draws(policy, action_mask=action_mask))
        expected = flat(reference.to_numpy(run(params, reference.to_device(given))))
        feeds = {name: x for name, x in flat(given).items() if name in taken}
        try:
            got = dict(zip(names, session.run(names, feeds), strict=True))
        except RUNTIME_ERRORS as error:
            raise UnsupportedError(f"its graph does not run with a batch of {rows}: {error}") from error
        if short := sorted(name for name, x in got.items() if x.shape[:1] != (rows,)):
            raise UnsupportedError(f"{', '.join(short)} of a batch of {rows} has {got[short[0]].shape[:1]} rows")
        expected |= flat({"action": _decided(policy.interface.action, got, given)})
        off = {name: difference(array, expected[name]) for name, array in got.items()}
        worst = max(worst, *off.values())
        if worst > TOLERANCE:
            exact = flat(
                reference.to_numpy(run(reference.to_device(_doubled(agent.params)), reference.to_device(given)))
            )
            _check_rounding(off, {name: difference(expected[name], exact[name]) for name in got}, rows, reference.name)
    return {"difference": worst, "batches": list(BATCHES), "reference": reference.name}


def _doubled(params: Params) -> Params:
    return {name: x.astype(np.float64) if x.dtype == np.float32 else x for name, x in params.items()}


def _check_rounding(off: Mapping[str, float], rounding: Mapping[str, float], rows: int, reference: str) -> None:
    for name, value in off.items():
        limit = max(TOLERANCE, 4.0 * rounding[name])
        if not value <= limit < math.inf:
            raise UnsupportedError(
                f"output {name} differs by {value:.2g} from {reference} with a batch of {rows}; at most {limit:.2g} is "
                "allowed"
            )


def _decided(layout: Any, got: Mapping[str, Any], given: Mapping[str, Any]) -> Tree:
    """The action that the graph's own outputs lead to: equal even where two choices are nearly as likely."""
    return likeliest(numpy_ops, layout, got, given.get("action_mask"))
