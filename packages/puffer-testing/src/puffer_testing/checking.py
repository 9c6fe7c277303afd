"""`puffer envs check ENV`: the conformance suite of envs on any env, without pytest's surroundings.

The checks are called one after another, so that each is a line as soon as it is done, and nothing of the directory
that the command is typed in (conftest.py, pytest's settings) takes part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from puffer_core.cli.output import print_json
from puffer_core.cli.process import stdout_on_stderr
from puffer_core.config.env_command import EnvRequest, env_arguments, env_command_help
from puffer_core.contracts.env import VectorEnv
from puffer_core.errors import EnvError, PufferError, UnsupportedError, UsageError
from puffer_core.plan import VectorConfig
from puffer_core.plugins import PluginHost
from puffer_core.specs import EnvSpec
from puffer_core.vector import make_vector_env
from puffer_core.vector.declaring import declared
from puffer_testing.device_env import DeviceEnvConformance
from puffer_testing.env import EnvConformance
from puffer_testing.playing import Player, difference
from puffer_testing.single_env import SingleEnvChecks

_AS_TYPED = {"set deterministic = True": "add --deterministic", "raise `steps`": "raise --steps"}
"""What the suite tells authors of a test class, as it is said on the command line."""
_DESCRIPTION = "Does an environment keep its promises? The checks of puffer-testing, one line each."


class CheckOptions(BaseModel):
    """Options of `puffer envs check`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_envs: int = Field(3, ge=1)
    """Environments that are played together."""
    steps: int = Field(200, ge=1)
    """Steps of a check; enough for some episodes to end."""
    deterministic: bool = False
    """The env has nothing random in it: another seed need not give another trajectory."""


@dataclass(frozen=True)
class Outcome:
    """What became of a check.

    Args:
        name: of the check, in words.
        status: what became of it.
        detail: why it was skipped, or what was got and expected.
    """

    name: str
    status: Literal["ok", "skipped", "FAILED"]
    detail: str = ""


def run_check(argv: Sequence[str], host: PluginHost) -> int:
    """Run the command. `argv` is what stands after `puffer envs check`.

    Returns:
        The exit code: 0, or 5 if a check failed.

    Raises:
        UsageError: no such env, or a mistake in the options.
    """
    if {"-h", "--help"} & set(argv):
        _say(env_command_help("envs check", _DESCRIPTION, argv, host, CheckOptions).rstrip())
        return 0
    request, options = env_arguments("envs check", argv, host, CheckOptions)
    with stdout_on_stderr():
        target = host.load(request.provided)
    outcomes: list[Outcome] = []
    for outcome in check_env(request, target, options):
        if not request.json:
            head = [] if outcomes else [f"checking {request.id}"]
            _say("\n".join([*head, *lines(outcome, outcomes)]))
        outcomes.append(outcome)
    failed = any(outcome.status == "FAILED" for outcome in outcomes)
    if request.json:
        print_json({"env": request.id, "ok": not failed, "checks": [asdict(outcome) for outcome in outcomes]})
    else:
        _say(summary(outcomes))
    return EnvError.exit_code if failed else 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def lines(outcome: Outcome, before: Sequence[Outcome]) -> list[str]:
    """A check for people; what an earlier check has said already is not said again.

    Example:
        >>> print(*lines(Outcome("rewards are numbers", "FAILED", "a reward is nan"), []), sep="|")
          FAILED   rewards are numbers|           a reward is nan
    """
    head = f"  {outcome.status:<8} {outcome.name}"
    if outcome.status == "skipped":
        return [f"{head} ({outcome.detail})"]
    if not outcome.detail:
        return [head]
    if any(earlier.detail == outcome.detail for earlier in before):
        return [f"{head} (as above)"]
    return [head, *(f"           {line}" for line in outcome.detail.splitlines())]


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many of each.

    Example:
        >>> summary([Outcome("a", "ok"), Outcome("b", "ok"), Outcome("c", "skipped")])
        '2 ok, 1 skipped'
    """
    counts = {status: sum(o.status == status for o in outcomes) for status in ("ok", "skipped", "FAILED")}
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count or status == "ok")


def check_env(request: EnvRequest, target: Any, options: CheckOptions) -> Iterator[Outcome]:
    """The outcomes, one by one as they are found; of an env that cannot be made, that alone.

    Args:
        request: which env, with which options.
        target: what its description names, imported.
        options: how to check it.
    """
    assert isinstance(request.provided.spec, EnvSpec)
    interface = declared(request.provided, target).interface
    if interface == "device":
        yield from _run([device_checks(request, options)])
        return
    make = partial(_make, request, target)
    first = _outcome("it can be made", lambda: _make_and_close(make))
    yield first
    if first.status == "FAILED":
        return
    suite = EnvChecks(make, options)
    suites: list[Any] = [suite]
    if interface == "gymnasium":
        arguments = dict(request.provided.spec.arguments) | request.options
        suites.append(SingleEnvChecks(lambda: target(**arguments), options.steps))
    yield from _run(suites)


def _run(suites: Sequence[object]) -> Iterator[Outcome]:
    for one in suites:
        for name, check in checks_of(one):
            yield _outcome(name, check)


def device_checks(request: EnvRequest, options: CheckOptions) -> DeviceEnvConformance:
    """The suite of device envs, told of its env; a class of its own, since its tests share what they played."""
    told = {"id": request.id, "options": request.options, **options.model_dump()}
    suite: DeviceEnvConformance = type("DeviceChecks", (DeviceEnvConformance,), told)()
    return suite


class EnvChecks(EnvConformance):
    """The suite, told of its env by an instance rather than by a class of one's own."""

    def __init__(self, make: Callable[..., VectorEnv], options: CheckOptions) -> None:
        self._make = make
        self.steps, self.deterministic, self.num_envs = options.steps, options.deterministic, options.num_envs

    def make(self, num_envs: int) -> VectorEnv:
        """As everybody makes it."""
        return self._make(num_envs)

    def test_worker_processes_play_the_same(self) -> None:
        try:
            elsewhere = self._make(self.num_envs, mode="process", workers=1, isolate=True)
        except UsageError as error:
            pytest.skip(error.message)
        with closing(elsewhere):
            player = Player(elsewhere)
            player.reset(0)
            different = difference(self._played(), player.run(self.steps))
        assert not different, f"stepped in another process, it plays differently: {different}"


def _make(request: EnvRequest, target: Any, num_envs: int, **vector: Any) -> VectorEnv:
    return make_vector_env(request.provided, target, dict(request.options), VectorConfig(num_envs=num_envs, **vector))


def _make_and_close(make: Callable[[int], VectorEnv]) -> None:
    make(1).close()


def checks_of(suite: object) -> Iterator[tuple[str, Callable[[], None]]]:
    """Name and call of each check of a suite, in the order of their definition, parameters filled in."""
    names = dict.fromkeys(name for owner in reversed(type(suite).__mro__) for name in vars(owner))
    for name in names:
        if not name.startswith("test_"):
            continue
        method = getattr(suite, name)
        words = name.removeprefix("test_").replace("_", " ")
        marks = [mark for mark in getattr(method, "pytestmark", ()) if mark.name == "parametrize"]
        for values in product(*(mark.args[1] for mark in marks)):
            given = {mark.args[0]: value for mark, value in zip(marks, values, strict=True)}
            said = ", ".join(f"{key} {value}" for key, value in given.items())
            yield f"{words} ({said})" if said else words, partial(method, **given)


def _outcome(name: str, check: Callable[[], None]) -> Outcome:
    found = _result(name, check)
    detail = found.detail
    for written, typed in _AS_TYPED.items():
        detail = detail.replace(written, typed)
    return replace(found, detail=detail)


def _result(name: str, check: Callable[[], None]) -> Outcome:
    try:
        with stdout_on_stderr():
            check()
    except pytest.skip.Exception as skipped:
        return Outcome(name, "skipped", skipped.msg or "")
    except (EnvError, UnsupportedError) as error:
        return Outcome(name, "FAILED", str(error))
    except PufferError:
        raise
    except AssertionError as error:
        return Outcome(name, "FAILED", str(error) or "a check without words")
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  whatever it is, it is what became of the check
        return Outcome(name, "FAILED", f"{type(error).__name__}: {error}")
    return Outcome(name, "ok")
