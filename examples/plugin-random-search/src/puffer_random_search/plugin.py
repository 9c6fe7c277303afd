"""What this distribution provides."""

from collections.abc import Sequence

from puffer_core import TrainerSpec, hookimpl


@hookimpl
def puffer_trainers() -> Sequence[TrainerSpec]:
    """The trainer `random-search`."""
    return [
        TrainerSpec(
            name="random-search",
            summary="augmented random search over the policy's parameters (Mania et al. 2018)",
            target="puffer_random_search.trainer:RandomSearch",
            config="puffer_random_search.config:RandomSearchConfig",
            capabilities=frozenset({"action-mask", "continuous", "discrete", "recurrent"}),
            gradients=False,
        )
    ]
