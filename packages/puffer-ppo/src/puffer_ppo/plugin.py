"""What this distribution provides."""

from collections.abc import Sequence

from puffer_core import TrainerSpec, hookimpl


@hookimpl
def puffer_trainers() -> Sequence[TrainerSpec]:
    """The trainer `ppo`."""
    return [
        TrainerSpec(
            name="ppo",
            summary="Proximal Policy Optimization (Schulman et al. 2017)",
            target="puffer_ppo.trainer:Ppo",
            config="puffer_ppo.config:PpoConfig",
            capabilities=frozenset({"action-mask", "continuous", "discrete", "recurrent"}),
        )
    ]
