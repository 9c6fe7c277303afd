"""A run plan is made of every choice, whoever makes it, and the highest place wins."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puffer_core.config import plan_of, resolve
from puffer_core.errors import PluginError, UsageError
from puffer_core.plan import VectorConfig
from puffer_core.plugins import PluginHost


def test_defaults_are_the_components_own(plan: Any) -> None:
    made = plan("maze")
    assert made.source == "maze"
    assert (made.policy.spec.name, made.backend.spec.name, made.loggers) == ("net", "torch", {})
    assert made.trainer.config.learning_rate == 1e-3
    assert made.policy.config.hidden_sizes == (64, 64)
    assert made.env.config == {"width": 5, "fast": False}
    assert (made.trainer.distribution, made.trainer.version) == ("fakes", "1.0")


def test_each_place_goes_before_the_one_below(plan: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("horizon = 4\nseed = 4\ntotal_steps = 4\neval_every = 4\n[vector]\nmode = 'serial'\n")
    made = plan(
        "maze", "--seed=16", "--total-steps", "16",
        file=file,
        environ={f"PUFFER_{name}": "8" for name in ("EVAL_EVERY", "SEED", "TOTAL_STEPS", "VECTOR__NUM_ENVS")},
        overrides={"total_steps": 32},
    )  # fmt: skip
    assert made.trainer.config.horizon == 4
    assert (made.options.eval_every, made.options.seed, made.options.total_steps) == (8, 16, 32)
    assert (made.vector.num_envs, made.vector.mode) == (8, "serial")


def test_puffer_toml_is_read_where_no_file_is_named(plan: Any, tmp_path: Path) -> None:
    (tmp_path / "puffer.toml").write_text('trainer = "learner"\nsource = "maze"\nseed = 5\n[policy]\nname = "memory"\n')
    (tmp_path / "b.toml").write_text("seed = 6\n")
    assert plan().options.seed == 5
    assert plan().policy.spec.name == "memory"
    assert plan("maze", "--config", "b.toml").options.seed == 6
    assert plan("--config=b.toml", "maze").policy.spec.name == "net"


@pytest.mark.parametrize(
    "argv",
    [
        ["maze", "--policy.hidden-sizes", "32", "16", "--seed", "7"],
        ["--policy.hidden_sizes", "32", "16", "maze", "--seed", "7"],
        ["--policy.hidden-sizes=32,16", "--seed=7", "maze"],
        ["--policy.hidden-sizes", "[32, 16]", "--seed", "3", "--seed", "7", "--env", "maze"],
        ["--no-quiet", "maze", "--policy", "net", "--policy.hidden-sizes", "32", "16", "--seed", "7"],
        ["--seed", "7", "--policy.hidden-sizes", "32", "16", "--", "maze"],
    ],
)
def test_flags_may_be_written_in_many_ways(plan: Any, argv: list[str]) -> None:
    made = plan(*argv)
    assert made.source == "maze"
    assert made.policy.config.hidden_sizes == (32, 16)
    assert (made.options.seed, made.options.quiet) == (7, False)


@pytest.mark.parametrize(
    ("argv", "shared", "normalize"),
    [
        (["--policy.shared", "--no-normalize"], True, False),
        (["--no-policy.shared", "--normalize"], False, True),
        (["--policy.no-shared"], False, True),
        (["--policy.shared", "true", "--normalize=false"], True, False),
    ],
)
def test_switches_need_no_value(plan: Any, argv: list[str], shared: bool, normalize: bool) -> None:
    made = plan(*argv, "maze")
    assert made.policy.config.shared is shared
    assert made.trainer.config.normalize is normalize


def test_negative_numbers_are_values(plan: Any) -> None:
    assert plan("maze", "--bounds", "-1e-3", "-2").trainer.config.bounds == (-1e-3, -2.0)


def test_a_component_is_a_name_or_a_table(plan: Any) -> None:
    assert plan("maze", overrides={"policy": "memory"}).policy.config.size == 8
    assert plan("maze", overrides={"policy": {"name": "memory", "size": 3}}).policy.config.size == 3
    assert plan(overrides={"env": {"name": "maze", "width": 9}}).env.config["width"] == 9
    assert plan("maze", "--policy", "memory", "--policy.size", "4").policy.config.size == 4
    assert plan("maze", environ={"PUFFER_POLICY": "memory", "PUFFER_POLICY__SIZE": "5"}).policy.config.size == 5


def test_options_of_a_component_that_is_replaced_are_dropped(plan: Any) -> None:
    replaced = {"policy": {"name": "net", "hidden_sizes": [8]}, "env": {"name": "maze", "width": 9}}
    made = plan("maze", overrides=replaced)
    assert made.policy.config.hidden_sizes == (8,)
    below = {"PUFFER_POLICY": "net", "PUFFER_POLICY__HIDDEN_SIZES": "8", "PUFFER_ENV": "maze", "PUFFER_ENV__WIDTH": "9"}
    made = plan("field", "--policy", "memory", environ=below)
    assert made.policy.config.size == 8
    assert made.env.config == {}


def test_loggers_are_a_list_or_tables(plan: Any, tmp_path: Path) -> None:
    (tmp_path / "puffer.toml").write_text('[logger.my-board]\ndirectory = "here"\n')
    assert plan("maze").loggers["my-board"].config.directory == Path("here")
    made = plan("maze", "--logger", "my-board", "--logger", "jsonl", "--logger.my-board.directory", "there")
    assert list(made.loggers) == ["my-board", "jsonl"]
    assert made.loggers["my-board"].config.directory == Path("there")
    assert list(plan("maze", "--logger", "jsonl").loggers) == ["jsonl"]
    assert list(plan("maze", environ={"PUFFER_LOGGER": "jsonl,my-board"}).loggers) == ["jsonl", "my-board"]
    by_variable = plan("maze", environ={"PUFFER_LOGGER__MY_BOARD__DIRECTORY": "far"})
    assert by_variable.loggers["my-board"].config.directory == Path("far")
    assert plan("maze", overrides={"logger": []}).loggers == {}


def test_an_env_without_a_model_takes_any_option(plan: Any) -> None:
    made = plan("field", "--env.gravity", "9.8", "--env.render-mode", "rgb_array", "--env.wet", "--env.map=[1, 2]")
    assert made.env.config == {"gravity": 9.8, "render_mode": "rgb_array", "wet": True, "map": [1, 2]}


def test_a_nested_model_keeps_the_rest_of_its_default(plan: Any) -> None:
    made = plan("maze", "--optimizer.beta2", "0.9", "--optimizer.name", "adamw")
    assert (made.trainer.config.optimizer.beta1, made.trainer.config.optimizer.beta2) == (0.8, 0.9)
    assert made.trainer.config.optimizer.name == "adamw"


def test_python_may_use_its_own_types(plan: Any, tmp_path: Path) -> None:
    made = plan(
        "maze", overrides={"bounds": np.array([0.0, 2.0]), "seed": np.int64(3), "run": tmp_path, "horizon": 64.0}
    )
    assert made.trainer.config.bounds == (0.0, 2.0)
    assert (made.options.seed, made.options.run, made.trainer.config.horizon) == (3, str(tmp_path), 64)


def test_a_dataset_trainer_has_no_env(plan: Any) -> None:
    made = plan("data.parquet", trainer="reader")
    assert made.env is None
    assert made.source == "data.parquet"
    assert "env" not in made.tree
    assert "vector" not in made.tree
    with pytest.raises(UsageError, match="learns from a dataset: got none"):
        plan(trainer="reader")


@pytest.mark.parametrize("trainer", ["learner", "reader", "counter"])
def test_the_tree_gives_the_same_plan(plan: Any, host: PluginHost, trainer: str, tmp_path: Path) -> None:
    own = ["--target-kl", "0.5", "--mood", "bold", "--optimizer.beta2", "0.5"] if trainer == "learner" else []
    made = plan("maze", "--seed", "9", "--logger", "my-board", "--policy", "memory", *own, trainer=trainer)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(made.tree, allow_nan=False))
    (tmp_path / "puffer.toml").write_text("seed = 1\n")
    assert plan_of(host, json.loads(file.read_text())) == made
    assert plan(trainer=trainer, file=file) == made


def test_flags_change_what_a_tree_says(plan: Any, host: PluginHost, tmp_path: Path) -> None:
    tree = plan("maze", "--seed", "9", "--horizon", "64").tree
    (tmp_path / "puffer.toml").write_text("seed = 1\n")
    (tmp_path / "more.toml").write_text("total_steps = 7\n")
    made = plan_of(host, tree, argv=["--horizon", "32", "--config", "more.toml"], overrides={"eval_every": 5})
    assert (made.options.seed, made.options.total_steps, made.options.eval_every) == (9, 7, 5)
    assert made.trainer.config.horizon == 32
    assert plan_of(host, tree, "maze", argv=["--seed", "9", "maze"]).source == "maze"
    with pytest.raises(UsageError, match="unexpected argument 'field' after --seed"):
        plan_of(host, tree, argv=["--seed", "9", "field"])
    with pytest.raises(UsageError, match=r"config\.json: horizn: unknown key. Did you mean horizon"):
        plan_of(host, tree | {"horizn": 3})


def test_the_tree_is_complete_and_plain(plan: Any) -> None:
    tree = plan("maze").tree
    assert tree["policy"] == {"name": "net", "hidden_sizes": [64, 64], "activation": "tanh", "shared": False}
    assert tree["clip"] == "inf"
    assert tree["optimizer"]["beta1"] == 0.8
    assert (tree["trainer"], tree["source"], tree["vector"]["num_envs"]) == ("learner", "maze", VectorConfig().num_envs)
    assert math.isinf(plan("maze", overrides={"clip": "inf"}).trainer.config.clip)


def test_a_tree_that_is_damaged_is_a_usage_error(host: PluginHost) -> None:
    with pytest.raises(UsageError, match="expected the name of a trainer"):
        plan_of(host, {})
    with pytest.raises(UsageError, match="learns in an env"):
        plan_of(host, {"trainer": "learner"})


def test_the_backend_is_one_that_all_can_run_on(plan: Any, host_without_torch: PluginHost) -> None:
    assert plan("maze", trainer="counter").backend.spec.name == "numpy"
    assert plan("maze", "--policy", "module").backend.spec.name == "torch"
    with pytest.raises(UsageError, match=r"--backend: got 'numpy', expected .* policy module runs on: torch"):
        plan("maze", "--policy=module", "--backend=numpy")
    with pytest.raises(UsageError, match=r"--backend: got 'torch', expected .* trainer counter runs on: numpy"):
        plan("maze", "--backend=torch", trainer="counter")
    with pytest.raises(UsageError, match="this run can use: trainer counter and policy module run on none together"):
        plan("maze", "--policy=module", trainer="counter")
    assert resolve(host_without_torch, "counter", "maze", environ={}).backend.spec.name == "numpy"
    with pytest.raises(UsageError, match="trainer learner: unknown backend 'torch'"):
        resolve(host_without_torch, "learner", "maze", environ={})


def test_a_variable_of_somebody_else_is_left_alone(plan: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plan("maze", environ={"PUFFER_XYZ_TOKEN": "1", "PUFFER_PLUGINS": "a", "PUFFER_DISABLE_PLUGINS": "1", "HOME": "/"})
    assert capsys.readouterr().err == "warning: PUFFER_XYZ_TOKEN is no option of this run, and is ignored\n"


def test_a_plugin_with_wrong_options_is_the_one_to_blame(plan: Any) -> None:
    with pytest.raises(PluginError, match=r"trainer greedy of fakes 1.0: its option seed has a name that"):
        plan("maze", trainer="greedy")
    with pytest.raises(PluginError, match=r"policy broken of fakes 1.0: config .* expected a pydantic model"):
        plan("maze", "--policy", "broken")
    with pytest.raises(PluginError, match=r"the options of trainer explosive of fakes 1.0 cannot be checked: KeyError"):
        plan("maze", trainer="explosive")
