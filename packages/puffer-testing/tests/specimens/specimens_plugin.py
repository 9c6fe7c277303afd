"""The specimens, as a plugin registers them."""

from puffer_core import EnvSpec, LoggerSpec, PolicySpec, TrainerSpec, hookimpl

TRAINERS = (
    "Drift", "NoUnit", "Stands", "NumpyMetrics", "ReadsClock", "ChangingMetrics", "NotFinite", "OwnPolicy",
    "LosesParameters", "OwnNoise", "OwnFixedNoise", "IgnoresSeed", "ForgetsCount", "NestedParameters",
    "LoadsHalf", "TakesAnything",
)  # fmt: skip


@hookimpl
def puffer_envs():
    return [EnvSpec(name="clock", summary="counts", target="specimens:Clock", interface="vector")]


@hookimpl
def puffer_policies():
    return [PolicySpec(name="recurrent", summary="sums", target="specimens:Recurrent")]


@hookimpl
def puffer_loggers():
    return [LoggerSpec(name="lines", summary="remembers", target="specimens:Lines")]


@hookimpl
def puffer_trainers():
    return [
        TrainerSpec(
            name=name.lower(),
            summary="a specimen",
            target=f"specimens:{name}",
            config="specimens:DriftConfig",
            gradients=False,
            policy="recurrent",
        )
        for name in TRAINERS
    ]
