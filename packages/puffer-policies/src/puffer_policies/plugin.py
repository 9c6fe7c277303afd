"""What this distribution provides."""

from collections.abc import Sequence

from puffer_core import PolicySpec, hookimpl


@hookimpl
def puffer_policies() -> Sequence[PolicySpec]:
    """The portable policies."""
    return [
        PolicySpec(
            name="mlp",
            summary="fully connected layers, one network for actor and critic or one each",
            target="puffer_policies.mlp:Mlp",
            config="puffer_policies.mlp:MlpConfig",
        )
    ]
