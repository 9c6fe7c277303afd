"""K1: generated configurations that are wrong in one place, through the program as people call it."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

import puffer_core
from puffer_core.cli.main import main
from puffer_core.errors import UsageError
from puffer_core.plan import RunOptions, SeedOptions, VectorConfig
from puffer_core.plugins import PluginHost

pytest.importorskip("puffer_ppo")
pytest.importorskip("puffer_env_native")

Injecting = Callable[..., AbstractContextManager[Any]]
Values = Callable[[random.Random], Any]


def below(limit: int) -> Values:
    return lambda rng: limit - 1 - rng.randrange(10**6)


def outside(low: float, high: float = math.inf) -> Values:
    return lambda rng: (
        low - rng.uniform(1e-6, 1e6) if math.isinf(high) or rng.random() < 0.5 else high + rng.random() + 1e-6
    )


def word(rng: random.Random) -> str:
    return "".join(rng.choice("qxz") for _ in range(rng.randint(1, 6)))


def fraction(rng: random.Random) -> float:
    return rng.randrange(1, 100) + 0.5


BAD: dict[tuple[str, ...], list[Values]] = {
    ("learning_rate",): [outside(0.0), word, lambda _: math.nan],
    ("horizon",): [below(1), fraction, word],
    ("epochs",): [below(1), fraction],
    ("minibatches",): [below(1), word],
    ("gamma",): [outside(0.0, 1.0), word],
    ("gae_lambda",): [outside(0.0, 1.0)],
    ("clip",): [outside(0.0), word],
    ("target_kl",): [outside(0.0)],
    ("learning_rate_schedule",): [word],
    ("normalize_reward",): [word],
    ("total_steps",): [below(1), fraction, word],
    ("seed",): [below(0), lambda rng: 2**63 + rng.randrange(2**20), word],
    ("eval_episodes",): [below(1), word],
    ("checkpoint_seconds",): [outside(0.0), word, lambda _: math.inf],
    ("keep_last",): [below(0), fraction],
    ("stall_seconds",): [outside(0.0), lambda _: math.nan],
    ("resume",): [word],
    ("vector", "num_envs"): [below(1), fraction, word],
    ("vector", "mode"): [word],
    ("vector", "batches"): [lambda rng: rng.randrange(3, 99)],
    ("vector", "timeout"): [outside(0.0), word],
    ("policy", "hidden_sizes"): [lambda rng: [-rng.randrange(9)], lambda rng: [word(rng)]],
    ("policy", "activation"): [word],
    ("backend", "threads"): [below(1)],
}
KNOWN = {name for model in (RunOptions, SeedOptions, VectorConfig) for name in model.model_fields}
"""What a misspelt name may turn into."""


@dataclass(frozen=True)
class Wrong:
    """A key, the value that does not fit it, and whether the key itself is right."""

    key: tuple[str, ...]
    value: Any
    known: bool


def generated(count: int, seed: int) -> Iterator[tuple[str, Wrong]]:
    rng, keys = random.Random(seed), sorted(BAD)
    for number in range(count):
        key = keys[number % len(keys)]
        place = rng.choice(["file", "puffer.toml", "variable", "flag", "python"])
        name = misspelt(key[-1], rng)
        if rng.random() < 0.6 or name in KNOWN:
            yield place, Wrong(key, rng.choice(BAD[key])(rng), known=True)
        else:
            yield place, Wrong((*key[:-1], name), rng.randrange(9), known=False)


def misspelt(name: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(name) - 1)
    return rng.choice([name[:at] + name[at + 1 :], name[:at] + name[at] + name[at:], name + "s"])


def toml(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value)


def told(place: str, wrong: Wrong, host: PluginHost, patch: pytest.MonkeyPatch, capsys: Any) -> tuple[int, str, str]:
    """Exit code and message, and how the message must begin."""
    dotted = ".".join(wrong.key)
    text = wrong.value if isinstance(wrong.value, str) else toml(wrong.value)
    argv = ["train", "ppo", "cartpole"]
    if place == "python":
        options: Any = wrong.value
        for name in reversed(wrong.key):
            options = {name: options}
        with pytest.raises(UsageError) as caught:
            puffer_core.train("ppo", env="cartpole", host=host, **options)
        return caught.value.exit_code, f"error: {caught.value}", f"argument {dotted}: "
    if place == "flag":
        flag = "--" + dotted.replace("_", "-")
        listed = [text] if not isinstance(wrong.value, list) else [str(item) for item in wrong.value]
        argv += [f"{flag}={listed[0]}"]
        begins = f"{flag}: "
    elif place == "variable":
        begins = "PUFFER_" + "__".join(wrong.key).upper()
        patch.setenv(begins, text if not isinstance(wrong.value, list) else " ".join(map(str, wrong.value)))
        begins += ": "
    else:
        path = Path("puffer.toml" if place == "puffer.toml" else "options.toml")
        table = f"[{wrong.key[0]}]\n" if len(wrong.key) == 2 else ""
        path.write_text(f"{table}{wrong.key[-1]} = {toml(wrong.value)}\n", encoding="utf-8")
        argv += [] if place == "puffer.toml" else ["--config", str(path)]
        begins = f"{path}: {dotted}: "
    capsys.readouterr()
    code = main(argv)
    return code, capsys.readouterr().err, begins


@pytest.mark.parametrize(("count", "seed"), [(50, 1), pytest.param(1000, 2, marks=pytest.mark.faults)])
def test_generated_configurations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], injecting: Injecting, count: int, seed: int
) -> None:
    expected = "exit 2, no traceback; file, variable, flag or argument, key path, got, expected, and what was meant"
    host = PluginHost.discover(third_party=False, environ={})
    with injecting("K1", "generated bad configurations: file, variable, flag, Python", expected) as row:
        for number, (place, wrong) in enumerate(generated(count, seed)):
            with pytest.MonkeyPatch.context() as patch:
                (here := tmp_path / str(number)).mkdir()
                patch.chdir(here)
                began = monotonic()
                code, message, begins = told(place, wrong, host, patch, capsys)
            assert code == 2, (place, wrong, message)
            assert message.startswith(f"error: {begins}"), (place, wrong, message)
            words = ("got ", "expected ") if wrong.known else ("unknown ", "Did you mean ")
            assert all(part in message for part in words), (place, wrong, message)
            assert "Traceback" not in message
            assert {path.name for path in here.iterdir()} <= {"puffer.toml", "options.toml"}  # no run was begun
            row.took(monotonic() - began)
