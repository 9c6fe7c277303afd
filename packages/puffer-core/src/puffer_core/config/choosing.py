"""Which components a run is made of: what the layers name, what the trainer prefers, what is installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from puffer_core.config.sources import Layer, Origin
from puffer_core.config.words import show
from puffer_core.errors import PluginError, UsageError
from puffer_core.plugins import PluginHost, Provided
from puffer_core.specs import Spec, TrainerSpec


@dataclass(frozen=True)
class Named:
    """A component's name as somebody gave it.

    Args:
        name: as given.
        origin: who gave it; None for a default.
        stale: places, among the layers, of those whose options were written for a component of another name.
    """

    name: str
    origin: Origin | None = None
    stale: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Chosen:
    """A component that was found, and the model of its options; None where it has none."""

    named: Named
    provided: Provided
    model: type[BaseModel] | None

    @property
    def spec(self) -> Spec:
        """What it registered."""
        return self.provided.spec


def named(layers: Sequence[Layer], kinds: Sequence[str], default: str = "") -> Named:
    """The name that the highest layer gives to a component, under any of the keys `kinds`.

    Raises:
        UsageError: what is there is no name; or one layer gives two.
    """
    final = default
    origin: Origin | None = None
    in_force: list[str] = []
    for layer in layers:
        found = {name: place for kind in kinds for name, place in _names(layer, kind)}
        if len(found) > 1:
            place = list(found.values())[-1].where((kinds[-1],))
            raise UsageError(f"{place}: got {' and '.join(map(repr, found))}, expected one name")
        final, origin = next(iter(found.items()), (final, origin))
        in_force.append(final if origin else "")
    stale = {index for index, name in enumerate(in_force) if name not in ("", final)}
    return Named(final, origin, frozenset(stale))


def _names(layer: Layer, kind: str) -> list[tuple[str, Origin]]:
    """At most one name, the last one given."""
    texts = [given for given in layer.texts if given.name.lower() in (kind, f"{kind}.name")]
    if texts:
        if not texts[-1].first:
            raise UsageError(f"{texts[-1].origin.where((kind,))}: got nothing, expected the name of {_a(kind)}")
        return [(texts[-1].first, texts[-1].origin)]
    value = layer.data.get(kind)
    value = value.get("name") if isinstance(value, Mapping) else value
    if value is None:
        return []
    if not isinstance(value, str) or not value:
        words = f"expected the name of {_a(kind)}, or a table with a name"
        raise UsageError(f"{layer.origin.where((kind,))}: got {show(value)}, {words}")
    return [(value, layer.origin)]


def named_loggers(layers: Sequence[Layer]) -> dict[str, Origin]:
    """Names of the loggers. A list replaces what lower layers chose; a table chooses one more.

    Raises:
        UsageError: what is there is neither a name, a list of names nor tables.
    """
    chosen: dict[str, Origin] = {}
    for layer in layers:
        listed = _listed(layer)
        if listed is not None:
            chosen = listed
        value = layer.data.get("logger")
        if isinstance(value, Mapping):
            chosen |= {str(name): layer.origin for name in value if name not in chosen}
    return chosen


def _listed(layer: Layer) -> dict[str, Origin] | None:
    texts = [given for given in layer.texts if given.name.lower() == "logger"]
    if texts:
        for given in texts:
            if not given.first:
                raise UsageError(f"{given.origin.where(('logger',))}: got nothing, expected the name of a logger")
        return {name: given.origin for given in texts for name in given.first.replace(",", " ").split()}
    value = layer.data.get("logger")
    if value is None or isinstance(value, Mapping):
        return None
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        words = "expected names of loggers, or a table for each"
        raise UsageError(f"{layer.origin.where(('logger',))}: got {show(value)}, {words}")
    return dict.fromkeys(names, layer.origin)


def find(host: PluginHost, kind: str, named: Named, *, default: str = "") -> Chosen:
    """Find a component and load the model of its options.

    Args:
        host: knows what is installed.
        kind: of component.
        named: its name.
        default: whose default it is, for messages.

    Raises:
        UsageError: nobody provides it; says who asked for it.
        PluginError: it cannot be used.
    """
    lookup: Callable[[str], Provided] = host.find_env if kind == "env" else lambda name: host.find(kind, name)
    try:
        provided = lookup(named.name)
    except UsageError as error:
        where = named.origin.where((kind,)) if named.origin else default
        if where:
            error.message = f"{where}: {error.message}"
            error.args = (error.message,)
        raise
    return Chosen(named, provided, load_model(host, provided))


def load_model(host: PluginHost, provided: Provided) -> type[BaseModel] | None:
    """The pydantic model of a component's options.

    Raises:
        PluginError: it is something else, or has a field `name`, which every component's table has already.
    """
    model: Any = host.load_config(provided)
    if model is None:
        return None
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise PluginError(f"{provided.label}: config {provided.spec.config} is {model!r}, expected a pydantic model")
    if "name" in model.model_fields and provided.spec.KIND in ("policy", "backend", "env"):
        raise PluginError(f"{provided.label}: an option is called `name`, which says the {provided.spec.KIND} itself")
    return model


def choose_backend(host: PluginHost, named: Named, trainer: TrainerSpec, *others: Spec) -> Chosen:
    """The backend that was named, or the best installed one that the trainer, the policy and the env run on.

    Raises:
        UsageError: they do not run on it; or none is installed that they run on.
    """
    users = [spec for spec in (trainer, *others) if spec.backends]
    if not named.name:
        named = Named(_default_backend(host, trainer, users))
    chosen = find(host, "backend", named, default=f"trainer {trainer.name}")
    where = named.origin.where(("backend",)) if named.origin else "backend"
    for user in users:
        if chosen.spec.name not in user.backends:
            able = ", ".join(sorted(user.backends))
            raise UsageError(
                f"{where}: got {named.name!r}, expected a backend that {user.KIND} {user.name} runs on: {able}",
                remedy=f"Use --backend {min(user.backends)}.",
            )
    if trainer.gradients and "train" not in chosen.spec.capabilities:
        specs = (item.spec for item in host.provided("backend"))
        able = ", ".join(sorted(spec.name for spec in specs if "train" in spec.capabilities))
        raise UsageError(
            f"{where}: got {named.name!r}, expected a backend that computes gradients, as {trainer.name} needs: "
            f"{able or 'none is installed'}"
        )
    return chosen


def _default_backend(host: PluginHost, trainer: TrainerSpec, users: list[Spec]) -> str:
    usable = [item.spec for item in host.provided("backend") if all(item.spec.name in user.backends for user in users)]
    if not trainer.gradients and any(spec.name == "numpy" for spec in usable):
        return "numpy"  # nothing heavy to import, and the fastest to act on a CPU
    training = sorted(spec.name for spec in usable if "train" in spec.capabilities)
    if training:
        return "torch" if "torch" in training else training[0]
    if all("torch" in user.backends for user in users):
        return "torch"  # not installed, or broken: the host says which, and what to do
    able = sorted(set.intersection(*(set(user.backends) for user in users)))
    words = f"on {' or '.join(able)}" if able else "on none together"
    commands = " or ".join(f"pip install puffer-backend-{name}" for name in able)
    remedy = f"Install it: {commands}" if able else "Choose another policy."
    verb = "run" if len(users) > 1 else "runs"
    who = " and ".join(f"{user.KIND} {user.name}" for user in users)
    raise UsageError(f"no backend is installed that this run can use: {who} {verb} {words}", remedy=remedy)


def source_missing(host: PluginHost, trainer: TrainerSpec) -> UsageError:
    """The error for a run that was not told what to learn from."""
    if trainer.source == "dataset":
        return UsageError(f"trainer {trainer.name} learns from a dataset: got none, expected its name or path")
    names = [item.spec.name for item in host.provided("env")][:8]
    example = names[0] if names else "gymnasium:CartPole-v1"
    return UsageError(
        f"trainer {trainer.name} learns in an env: got none, expected the name of one"
        + (f", such as {', '.join(names)}" if names else ""),
        remedy=f"For example: puffer train {trainer.name} {example}. `puffer envs` lists them all.",
    )


def _a(kind: str) -> str:
    return {"env": "an env", "source": "an env or a dataset"}.get(kind, f"a {kind}")
