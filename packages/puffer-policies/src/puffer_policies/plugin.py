"""What this distribution provides."""

from collections.abc import Sequence

from puffer_core import PolicySpec, hookimpl

_COMPOSITES = {
    "cnn": ("CnnConfig", "convolutions for images, beside vectors where there are any"),
    "gru": ("GruConfig", "gated recurrent unit behind any encoder: for what cannot be seen at once"),
    "lstm": ("LstmConfig", "long short-term memory behind any encoder"),
    "mingru": ("MinGruConfig", "minimal gated recurrent unit, unrolled in parallel in training"),
}


@hookimpl
def puffer_policies() -> Sequence[PolicySpec]:
    """The portable policies."""
    mlp = PolicySpec(
        name="mlp",
        summary="fully connected layers, one network for actor and critic or one each",
        target="puffer_policies.mlp:Mlp",
        config="puffer_policies.mlp:MlpConfig",
    )
    return [
        mlp,
        *(
            PolicySpec(
                name=name,
                summary=summary,
                target="puffer_policies.composite:Composite",
                config=f"puffer_policies.config:{config}",
                capabilities=frozenset() if name == "cnn" else frozenset({"recurrent"}),
            )
            for name, (config, summary) in _COMPOSITES.items()
        ),
    ]
