"""Plans of tiny runs out of `parts`. Tests load this module by its path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from puffer_core.plan import Component, RunOptions, RunPlan, VectorConfig
from puffer_core.plugins import Provided
from puffer_core.plugins.records import KINDS, PluginRecord
from puffer_core.specs import BackendSpec, EnvSpec, LoggerSpec, PolicySpec, Spec, TrainerSpec
from puffer_testing.loading import load_module

PARTS = "puffer_core_run_parts"
DISTRIBUTION = "puffer-walk"


def parts() -> Any:
    """The module `parts`, importable by the name that specs give it."""
    return load_module(Path(__file__).with_name("parts.py"), PARTS)


def part(kind: type[Spec], name: str, target: str, config: Any = None, **rest: Any) -> Component:
    spec = kind(name=name, summary=name, target=f"{PARTS}:{target}", **rest)
    return Component(spec, DISTRIBUTION, "1.0", {} if config is None else config)


def register(host: Any) -> None:
    """Make the host know the env and the policy, as if a plugin provided them."""
    made = plan("unused")
    linear = replace(made.policy.spec, config=f"{PARTS}:LinearConfig")
    search = replace(made.trainer_spec, config=f"{PARTS}:SearchConfig", policy="linear")
    memory = part(LoggerSpec, "memory", "Memory").spec
    specs = (made.env.spec, linear, search, device().spec, memory)
    host._provided += [Provided(spec, DISTRIBUTION, "1.0") for spec in specs if spec]
    provides = {kind: [spec.name for spec in specs if spec and kind == spec.KIND] for kind in KINDS}
    host.records += (PluginRecord(DISTRIBUTION, "1.0", "ok", provides=provides),)


def backend(name: str = "numpy") -> Component:
    from puffer_core.numpy_backend import NumpyConfig

    target = "puffer_core.numpy_backend:NumpyBackend"
    return Component(BackendSpec(name=name, summary="", target=target), "puffer-core", "0", NumpyConfig())


def device() -> Component:
    """A backend that is not NumPy."""
    return part(BackendSpec, "device", "Device")


def plan(run: Path | str, *, trainer: str = "Search", **changes: Any) -> RunPlan:
    """A run of `walk` in `run`; changes go to the trainer, the policy, the options or the env, whoever has them."""
    made = parts()
    config = {key: changes.pop(key) for key in list(changes) if key in made.SearchConfig.model_fields}
    policy = {key: changes.pop(key) for key in list(changes) if key in made.LinearConfig.model_fields}
    env = {key: changes.pop(key) for key in list(changes) if key in ("length", "snapshot", "fails")}
    loggers = changes.pop("loggers", {})
    engine = changes.pop("backend", backend())
    options = RunOptions(**({"total_steps": 32, "run": str(run), "eval_episodes": 5} | changes))
    return RunPlan(
        trainer=part(TrainerSpec, "search", trainer, made.SearchConfig(**config), gradients=False),
        source="walk",
        env=part(EnvSpec, "walk", "Walk", env, interface="vector"),
        policy=part(PolicySpec, "linear", "Linear", made.LinearConfig(**policy)),
        backend=engine,
        loggers={name: part(LoggerSpec, name, "Memory", options) for name, options in loggers.items()},
        vector=VectorConfig(num_envs=2),
        options=options,
        tree={
            "trainer": "search",
            "source": "walk",
            "total_steps": options.total_steps,
            "seed": options.seed,
            "env": env,
            "vector": {"num_envs": 2, "mode": "auto"},
            "backend": {"name": engine.spec.name},
        },
    )
