"""The help of a trainer lists what it and its components take."""

from __future__ import annotations

import pytest
from pydantic import create_model

from puffer_core.config.help import trainer_help
from puffer_core.config.schema import attribute_docs
from puffer_core.errors import UsageError
from puffer_core.plan import RunOptions
from puffer_core.plugins import PluginHost


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_options_have_doc_range_and_default(wide: None, host: PluginHost) -> None:
    text = trainer_help(host, "learner")
    assert "usage: puffer train learner SOURCE [options]" in text
    for words in (
        "--learning-rate FLOAT Step size, 100 % of it. (> 0; default: 0.001)",
        "--horizon INT Steps an update. (>= 1 and <= 4096; default: 128)",
        "--target-kl FLOAT|none (> 0 or none; default: none)",
        "--normalize, --no-normalize Whether to. (default: true)",
        "--mood {calm,bold} (default: calm)",
        "--optimizer.beta1 FLOAT",
        "--total-steps INT",
        "--policy NAME Which policy: broken, memory, module, net (default: net)",
        "--policy.hidden-sizes INT [INT ...]",
        "--backend.threads auto|INT",
        "--vector.num-envs INT",
        "--env.KEY VALUE",
        "--logger NAME",
    ):
        assert words in " ".join(text.split())


def test_groups_stand_in_the_order_of_interest(wide: None, host: PluginHost) -> None:
    lines = trainer_help(host, "learner", ["maze"]).splitlines()
    groups = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    chosen = ["policy net:", "backend torch:", "vector:", "env maze:", "loggers:"]
    assert groups == ["trainer learner:", "run:", "several seeds:", *chosen]


def test_the_chosen_components_are_the_ones_shown(wide: None, host: PluginHost) -> None:
    text = trainer_help(host, "learner", ["maze", "--policy", "memory", "--logger", "my-board", "--help"])
    assert "--policy.size" in text
    assert "--policy.hidden-sizes" not in text
    assert "--env.width" in text
    assert "--env.KEY" not in text
    assert "--logger.my-board.directory" in text
    assert "Which backend: torch (" in trainer_help(host, "learner", ["--policy", "module"])
    assert "--vector" not in trainer_help(host, "reader")


def test_a_terminal_of_one_column_is_enough(monkeypatch: pytest.MonkeyPatch, host: PluginHost) -> None:
    monkeypatch.setenv("COLUMNS", "1")
    assert "--seed" in trainer_help(host, "learner")


def test_help_of_what_is_not_there_is_a_usage_error(host: PluginHost) -> None:
    with pytest.raises(UsageError, match="unknown trainer 'lerner'"):
        trainer_help(host, "lerner")


def test_docs_are_the_strings_under_the_fields() -> None:
    assert attribute_docs(RunOptions)["seed"] == "Seeds every random stream of the run."
    assert attribute_docs(create_model("Made", power=(int, 1))) == {}
