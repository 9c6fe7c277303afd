"""The components of a run, found by name, and the options that they have together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from puffer_core.config.choosing import Chosen, Named, choose_backend, find, named, named_loggers
from puffer_core.config.index import NAMED
from puffer_core.config.schema import Key, Option, Section, section_of
from puffer_core.config.settings import collect
from puffer_core.config.sources import Layer
from puffer_core.config.words import show
from puffer_core.errors import PluginError, UsageError
from puffer_core.plan import RunOptions, SeedOptions, VectorConfig
from puffer_core.plugins import PluginHost
from puffer_core.specs import TrainerSpec

_RESERVED = frozenset(
    {*RunOptions.model_fields, *SeedOptions.model_fields, *NAMED}
    | {"vector", "logger", "trainer", "source", "config", "help"}
)
"""Names that every trainer's options stand beside."""


@dataclass(frozen=True)
class Parts:
    """The components of a run, found, and the options that they have together."""

    trainer: Chosen
    policy: Chosen
    backend: Chosen
    loggers: dict[str, Chosen]
    source: Named
    env: Chosen | None
    root: Section

    @property
    def trainer_spec(self) -> TrainerSpec:
        """The trainer's description."""
        return _spec(self.trainer)

    def each(self) -> Iterator[tuple[str, Key, Chosen]]:
        """Name, section and component of all but the loggers."""
        yield "trainer", (), self.trainer
        yield "policy", ("policy",), self.policy
        yield "backend", ("backend",), self.backend
        if self.env:
            yield "env", ("env",), self.env

    def stale(self) -> dict[Key, frozenset[int]]:
        """Layers whose options were written for a component that a higher layer replaced."""
        return {
            ("policy",): self.policy.named.stale,
            ("backend",): self.backend.named.stale,
            ("env",): self.source.stale,
        }


def find_parts(host: PluginHost, trainer: str, layers: list[Layer]) -> Parts:
    """Find every component. A source that stands behind a flag is moved to the last layer.

    Raises:
        UsageError: one is unknown.
        PluginError: one cannot be used; or a trainer's option has a name that is taken.
    """
    chosen = find(host, "trainer", Named(trainer))
    _check_trainer(chosen, layers)
    spec = _spec(chosen)
    policy = find(host, "policy", named(layers, ["policy"], spec.policy), default=f"default policy of {spec.name}")
    backend = choose_backend(host, named(layers, ["backend"]), spec, policy.spec)
    loggers = {name: find(host, "logger", Named(name, origin)) for name, origin in named_loggers(layers).items()}
    keys = ["source", "env"] if spec.source == "env" else ["source"]
    source, env = named(layers, keys), None
    partial = _root(chosen, policy, backend, loggers, Section(("env",), open=True))
    if not source.name and (surplus := collect(layers, partial, {}).surplus):
        layers[-1].data["source"] = surplus[0][0]
        source = named(layers, keys)
    if source.name and spec.source == "env":
        env = find(host, "env", source)
    if env and env.spec.backends:
        backend = choose_backend(host, named(layers, ["backend"]), spec, policy.spec, env.spec)
    section = component_section(env, ("env",)) if env else Section(("env",), open=True)
    return Parts(chosen, policy, backend, loggers, source, env, _root(chosen, policy, backend, loggers, section))


def _spec(trainer: Chosen) -> TrainerSpec:
    assert isinstance(trainer.spec, TrainerSpec)
    return trainer.spec


def _check_trainer(trainer: Chosen, layers: Iterable[Layer]) -> None:
    taken = sorted(_RESERVED & set(trainer.model.model_fields)) if trainer.model else []
    if taken:
        raise PluginError(
            f"{trainer.provided.label}: its option {taken[0]} has a name that every trainer's options share",
            remedy="Its author must choose another name.",
        )
    for layer in layers:
        asked = layer.data.get("trainer", trainer.named.name)
        if asked != trainer.named.name:
            where = layer.origin.where(("trainer",))
            raise UsageError(f"{where}: got {show(asked)}, expected {trainer.named.name!r}, which the command names")


def _root(trainer: Chosen, policy: Chosen, backend: Chosen, loggers: Mapping[str, Chosen], env: Section) -> Section:
    """Every option that there is, in the order of help."""
    members: dict[str, Section | Option] = dict(component_section(trainer, ()).members)
    members |= section_of(RunOptions).members | section_of(SeedOptions).members
    members |= {"policy": _component(policy, "policy"), "backend": _component(backend, "backend")}
    members["source"] = Option(("source",), str)
    if _spec(trainer).source == "env":
        members["vector"] = section_of(VectorConfig, ("vector",))
        name = Option(("env", "name"), str)
        members["env"] = Section(env.key, {"name": name, **env.members}, env.open, env.default)
    own = {name: component_section(chosen, ("logger", name)) for name, chosen in loggers.items()}
    members["logger"] = Section(("logger",), dict(own))
    members["trainer"] = Option(("trainer",), str)
    return Section((), members)


def component_section(chosen: Chosen, key: Key) -> Section:
    """The options of a component; an env without a model takes any, for whoever makes it to judge."""
    if chosen.model is None:
        return Section(key, open=chosen.spec.KIND == "env")
    section = section_of(chosen.model, key)
    return section if key else replace(section, open=False)


def _component(chosen: Chosen, kind: str) -> Section:
    section = component_section(chosen, (kind,))
    return Section(section.key, {"name": Option((kind, "name"), str), **section.members}, section.open)
