"""`puffer bench ENV`: how fast an env is stepped in each mode here, and what to train it with."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from puffer_core.cli.output import print_json
from puffer_core.cli.process import stdout_on_stderr
from puffer_core.config.env_command import EnvRequest, env_arguments, env_command_help
from puffer_core.plan import VectorConfig
from puffer_core.specs import EnvSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from puffer_core.contracts.env import VectorEnv
    from puffer_core.plugins import PluginHost
    from puffer_core.vector.benchmark import Measurement

_DESCRIPTION = (
    "Steps a second of an environment in each mode, with random valid actions, and the mode to train with "
    "on this machine."
)
_ROW = "{:>7}  {:<44} {:>12}  {:>7}"


class BenchOptions(BaseModel):
    """Options of `puffer bench`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_envs: tuple[Annotated[int, Field(ge=1)], ...] = Field((8, 64), min_length=1)
    """Environments stepped together; several numbers are compared."""
    seconds: float = Field(1.0, gt=0)
    """Of stepping, for each mode and number."""


def run_bench(argv: list[str], host: PluginHost) -> int:
    """Run the command. `argv` is what stands after `puffer bench`.

    Returns:
        The exit code, 0.

    Raises:
        PufferError: a mistake in the arguments; the env cannot be made, or breaks.
    """
    if {"-h", "--help"} & set(argv):
        print(env_command_help("bench", _DESCRIPTION, argv, host, BenchOptions), end="")  # noqa: T201
        return 0
    request, options = env_arguments("bench", argv, host, BenchOptions)
    with stdout_on_stderr():
        request = _declared(request, host)
        make = partial(_make, request, host)
        step_seconds = _step_seconds(request, make)
    from puffer_core.vector.benchmark import best
    from puffer_core.vector.shares import cores as count_cores

    cores = count_cores()
    if not request.json:
        cost = "" if step_seconds is None else f"a step costs {step_seconds * 1e6:,.1f} us, "
        _say(f"{request.id}: {cost}{cores} cores")
        _say(_ROW.format("ENVS", "MODE", "STEPS/S", "RATIO"))
    measured = []
    for num_envs in options.num_envs:
        own: list[Measurement] = []
        for one in _measured(request, make, num_envs, cores, options.seconds):
            own.append(one)
            if not request.json:
                _say(_row(one, own[0]))
        measured.append(own)
    if request.json:
        print_json(_as_json(request, cores, step_seconds, measured))
    else:
        _say("")
        if _is_device_env(request):
            _say("A call a step; training steps it within its compiled program, and faster.")
        for own in measured:
            _say(_proposal(request, best(own)))
    return 0


def _declared(request: EnvRequest, host: PluginHost) -> EnvRequest:
    """The request of an env whose interface is known: what nobody registered is imported first."""
    from puffer_core.vector.declaring import declared

    spec = declared(request.provided, host.load(request.provided))
    return request._replace(provided=replace(request.provided, spec=spec))


def _make(request: EnvRequest, host: PluginHost, vector: VectorConfig) -> VectorEnv:
    from puffer_core.run.context import make_env

    return make_env(host, request.provided, dict(request.options), vector)


def _step_seconds(request: EnvRequest, make: partial[VectorEnv]) -> float | None:
    """What a step costs in this process; None for an env that must not be stepped here, or only in large batches."""
    from puffer_core.vector.measuring import measure_step

    if "isolated" in request.provided.spec.capabilities or _is_device_env(request):
        return None
    with closing(make(VectorConfig(num_envs=1))) as env:
        return measure_step(env)


def _is_device_env(request: EnvRequest) -> bool:
    return isinstance(request.provided.spec, EnvSpec) and request.provided.spec.interface == "device"


def _measured(
    request: EnvRequest, make: partial[VectorEnv], num_envs: int, cores: int, seconds: float
) -> Iterator[Measurement]:
    from puffer_core.vector.benchmark import candidates, measure_modes

    assert isinstance(request.provided.spec, EnvSpec)
    configurations = list(candidates(request.provided.spec, num_envs, cores))
    measurements = measure_modes(make, configurations, seconds)
    while True:
        with stdout_on_stderr():  # whatever the env prints
            one = next(measurements, None)
        if one is None:
            return
        yield one


def _row(one: Measurement, base: Measurement) -> str:
    from puffer_core.vector.choosing import described

    ratio = one.steps_per_second / base.steps_per_second
    return _ROW.format(one.vector.num_envs, described(one.vector), f"{one.steps_per_second:,.0f}", f"{ratio:.2f}")


def _proposal(request: EnvRequest, one: Measurement) -> str:
    """The command to train with."""
    from puffer_core.vector.choosing import largest_share

    vector = one.vector
    flags = [f"--vector.num-envs {vector.num_envs}"]
    flags += [f"--vector.mode {vector.mode}"] if vector.mode != "auto" else []
    if vector.mode == "process":
        flags.append(f"--vector.workers {vector.workers}")
        flags += ["--vector.isolate"] if vector.isolate else []
    line = f"puffer train TRAINER {request.id} {' '.join(flags)}"
    return f"{line}   ({largest_share(vector)} envs a process)" if vector.mode == "process" else line


def _as_json(
    request: EnvRequest, cores: int, step_seconds: float | None, measured: list[list[Measurement]]
) -> dict[str, Any]:
    from puffer_core.vector.benchmark import best

    return {
        "env": request.id,
        "cores": cores,
        "step_seconds": step_seconds,
        "modes": [one.to_json(own[0].steps_per_second) for own in measured for one in own],
        "proposals": [best(own).to_json(own[0].steps_per_second) for own in measured],
    }


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201
