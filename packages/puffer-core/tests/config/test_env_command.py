"""Arguments of commands about one env."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, Field

from puffer_core.config.env_command import env_arguments, env_command_help
from puffer_core.errors import UsageError
from puffer_core.plugins import PluginHost


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    sizes: tuple[int, ...] = (8,)
    """How many."""
    seconds: float = Field(1.0, gt=0)


def test_the_env_its_options_and_the_commands_own(host: PluginHost) -> None:
    request, options = env_arguments("act", ["maze", "--env.width", "7", "--sizes", "1", "2", "--json"], host, Options)
    assert (request.id, request.provided.spec.name, request.json) == ("maze", "maze", True)
    assert request.options == {"width": 7, "fast": False}
    assert options == Options(sizes=(1, 2))


@pytest.mark.parametrize("argv", [["--sizes", "1", "2", "maze"], ["--json", "maze", "--sizes", "1,2"]])
def test_the_env_may_stand_behind_flags(host: PluginHost, argv: list[str]) -> None:
    request, options = env_arguments("act", argv, host, Options)
    assert (request.id, options.sizes) == ("maze", (1, 2))


def test_an_env_without_a_model_takes_any_option(host: PluginHost) -> None:
    request, _ = env_arguments("act", ["field", "--env.mood", "calm", "--env.size=3"], host, Options)
    assert request.options == {"mood": "calm", "size": 3}
    assert not request.json


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "puffer act: got no env, expected the id of one"),
        (["mase"], "unknown env 'mase'\nDid you mean maze?"),
        (["maze", "field"], "unexpected argument 'field' beside 'maze'"),
        (["maze", "--second", "3"], "--second: unknown flag. Did you mean --seconds?"),
        (["maze", "--seconds", "0"], "--seconds: got 0.0, expected a number > 0"),
        (["maze", "--seconds"], "--seconds: got nothing, expected a number > 0"),
        (["maze", "--env.width", "1"], "--env.width: got 1, expected an integer >= 2"),
        (["maze", "--env.wdth", "1"], "--env.wdth: unknown flag. Did you mean --env.width?"),
    ],
)
def test_mistakes(host: PluginHost, argv: list[str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        env_arguments("act", argv, host, Options)
    assert message in str(raised.value)


def test_everything_wrong_is_said_at_once(host: PluginHost) -> None:
    with pytest.raises(UsageError) as raised:
        env_arguments("act", ["maze", "--env.width", "1", "--seconds", "x"], host, Options)
    assert str(raised.value).count("expected") == 2


@pytest.mark.parametrize(("argv", "shown"), [([], "--env.KEY VALUE"), (["maze"], "--env.width INT")])
def test_help(host: PluginHost, argv: list[str], shown: str) -> None:
    text = env_command_help("act", "Acts.", [*argv, "--help"], host, Options)
    assert text.startswith(f"usage: puffer act {argv[0] if argv else 'ENV'} [options]")
    assert shown in text
    assert "How many. (default: 8)" in text
