from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from puffer_core import api
from puffer_core.checkpoints.locating import locate
from puffer_core.checkpoints.reading import load
from puffer_core.contracts.env import EnvBuffers
from puffer_core.errors import CheckpointError, ShapeError, UnsupportedError, UsageError
from puffer_core.evaluation import evaluate
from puffer_core.loaded_policy import _find_unpackaged
from puffer_core.numpy_backend import NumpyBackend
from puffer_core.plugins import PluginHost
from puffer_core.run.directory import Run
from puffer_core.run.loop import execute


@pytest.fixture
def run(plans: ModuleType, host: PluginHost, tmp_path: Path) -> Run:
    return execute(plans.plan(tmp_path / "r", checkpoint_every=8), host)


def test_evaluating_afterwards_finds_what_the_run_found_at_its_end(run: Run, host: PluginHost) -> None:
    found = api.evaluate(run, episodes=5, host=host)
    assert run.evaluation is not None
    assert np.array_equal(found.returns, run.evaluation.returns)
    assert found.seed == run.evaluation.seed


def test_a_run_is_named_by_object_path_or_checkpoint(run: Run, host: PluginHost) -> None:
    for named in (run, run.directory, str(run.directory), run.latest):
        assert api.evaluate(named, episodes=2, host=host).episodes == 2
    first = run.checkpoints[0]
    assert locate(first) == (Run(run.directory.resolve()), first)


def test_training_by_name_gives_a_run_that_can_be_used(
    host: PluginHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options: dict[str, Any] = {"total_steps": 32, "eval_episodes": 4, "vector": {"num_envs": 2}, "backend": "numpy"}
    quiet = api.train("search", env="walk", run=tmp_path / "a", noise=0.5, host=host, **options)
    assert capsys.readouterr().out == ""
    assert quiet.config["noise"] == 0.5
    assert quiet.evaluation is not None
    assert api.evaluate(quiet, episodes=4, host=host).mean_return == quiet.evaluation.mean_return
    shown = api.train("search", env="walk", run=tmp_path / "b", noise=0.5, host=host, quiet=False, **options)
    assert f"puffer eval {shown.directory}" in capsys.readouterr().out
    assert (
        load(quiet.latest, ["policy"]).manifest.files["policy.safetensors"]
        == (load(shown.latest, ["policy"]).manifest.files["policy.safetensors"])
    )


def test_a_policy_of_one_engine_acts_on_that_engine(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    plan = plans.plan(tmp_path / "r", backend=plans.device())
    spec = replace(plan.policy.spec, backends=frozenset({"device"}))
    run = execute(replace(plan, policy=replace(plan.policy, spec=spec)), host)
    registered = next(item for item in host._provided if item.spec.name == "linear")
    host._provided.remove(registered)
    host._provided.append(replace(registered, spec=replace(registered.spec, backends=frozenset({"device"}))))
    assert run.evaluation is not None
    assert np.array_equal(api.evaluate(run, episodes=5, host=host).returns, run.evaluation.returns)
    assert api.load_policy(run, deterministic=False, host=host)([0.0, 0.0]) in (0, 1)
    assert load(run.latest, []).manifest.resume.reasons == ["the backend device on device:0 is not deterministic"]


def test_an_env_and_a_dataset_are_one_too_many(host: PluginHost) -> None:
    with pytest.raises(UsageError, match="expected one of them"):
        api.train("search", env="walk", dataset="data.npz", host=host)


def test_another_seed_plays_other_episodes(run: Run, host: PluginHost) -> None:
    found = [api.evaluate(run, episodes=9, seed=seed, deterministic=False, host=host).lengths for seed in (1, 2)]
    assert not np.array_equal(*found)


@pytest.mark.parametrize(("name", "value"), [("episodes", 0), ("seed", -1), ("seed", 2**63)])
def test_figures_out_of_range_are_named(run: Run, host: PluginHost, name: str, value: int) -> None:
    with pytest.raises(UsageError, match=f"{name}: got {value}, expected an integer"):
        api.evaluate(run, host=host, **{name: value})


def test_a_policy_acts_on_one_observation_and_on_a_batch(run: Run, host: PluginHost) -> None:
    policy = api.load_policy(run, host=host)
    one = policy([0.5, 2.0])
    assert one in (0, 1)
    assert np.shape(one) == ()
    policy.reset()
    batch = policy(np.array([[0.5, 2.0], [-3.0, 1.0], [4.0, 4.0]], np.float32))
    assert batch.shape == (3,)
    assert batch[0] == one
    logits = np.array([[0.5, 2.0]], np.float32) @ policy.agent.params["weight"] + policy.agent.params["bias"]
    assert one == logits.argmax()


def play(policy: api.LoadedPolicy, env: Any, episodes_a_row: int) -> list[list[float]]:
    slots = EnvBuffers.allocate(env.spec, 2)
    env.bind(slots)
    env.reset(3)
    totals, finished = np.zeros(env.spec.rows), [[] for _ in range(env.spec.rows)]
    while min(map(len, finished)) < episodes_a_row:
        env.step(policy(slots.observation[0]), 1)
        totals += slots.reward[1]
        done = slots.terminated[1] | slots.truncated[1]
        for row in np.flatnonzero(done):
            finished[row].append(float(totals[row]))
        totals[done] = 0.0
        policy.reset(done)
        slots.wrap()
    return [row[:episodes_a_row] for row in finished]


def test_playing_with_a_loaded_policy_is_the_evaluation(plans: ModuleType, host: PluginHost, tmp_path: Path) -> None:
    run = execute(plans.plan(tmp_path / "r", memory=True, scale=2.0), host)
    played = play(api.load_policy(run, host=host), plans.parts().Walk(4), 3)
    found = evaluate(api.load_policy(run, host=host).agent, NumpyBackend(), plans.parts().Walk(4), episodes=12, seed=3)
    assert [total for row in played for total in row] == found.returns.tolist()


def test_sampling_is_seeded(run: Run, host: PluginHost) -> None:
    def sample(seed: int) -> list[int]:
        policy = api.load_policy(run, deterministic=False, seed=seed, host=host)
        return [int(policy([0.0, 0.0])) for _ in range(30)]

    assert sample(1) == sample(1) != sample(2)


def test_what_does_not_fit_is_said(run: Run, host: PluginHost) -> None:
    policy = api.load_policy(run, host=host)
    with pytest.raises(ShapeError, match=r"shape \(3,\), expected \(2,\)"):
        policy([1.0, 2.0, 3.0])
    policy([1.0, 2.0])
    with pytest.raises(ShapeError, match="got 2 observations, and 1 before"):
        policy(np.zeros((2, 2)))
    with pytest.raises(ShapeError, match="the last batch had 1 rows"):
        policy.reset([True, False])


def test_an_input_that_was_not_given_is_named(run: Run, host: PluginHost) -> None:
    policy = api.load_policy(run, host=host)
    policy.agent.policy.inputs = frozenset({"observation", "global_state"})
    with pytest.raises(UnsupportedError, match="reads global_state"):
        policy([0.0, 0.0])
    assert policy([0.0, 0.0], global_state=np.zeros(2)) in (0, 1)


def test_a_mask_forbids(run: Run, host: PluginHost) -> None:
    policy = api.load_policy(run, host=host)
    for allowed in (0, 1):
        mask = np.arange(2) == allowed
        assert policy([1.0, 1.0], action_mask=mask) == allowed


def test_only_the_policys_files_are_read(run: Run, host: PluginHost) -> None:
    data = bytearray((run.latest / "collector.safetensors").read_bytes())
    data[-1] ^= 1
    (run.latest / "collector.safetensors").write_bytes(data)
    assert api.load_policy(run, host=host)([0.0, 0.0]) in (0, 1)


@pytest.mark.parametrize("what", ["missing", "empty", "no checkpoint", "damaged", "no plugin", "no policy"])
def test_what_cannot_be_loaded_says_path_and_remedy(
    run: Run, host: PluginHost, what: str, tmp_path: Path, plans: ModuleType
) -> None:
    target: Any = run.directory
    if what == "missing":
        target = tmp_path / "nowhere"
    elif what == "empty":
        target = tmp_path / "empty"
        target.mkdir()
    elif what == "no checkpoint":
        shutil.rmtree(run.directory / "checkpoints")
    elif what == "damaged":
        (run.latest / "policy.safetensors").write_bytes(b"")
    elif what == "no plugin":
        host = PluginHost.discover(third_party=False, environ={})
    else:
        plan = plans.plan(tmp_path / "own")
        own = plans.parts().OwnPolicy.__name__
        target = execute(replace(plan, trainer=plans.plan("x", trainer=own).trainer), host).directory
    with pytest.raises(CheckpointError) as refused:
        api.load_policy(target, host=host)
    assert str(target) in refused.value.message
    assert refused.value.remedy
    assert refused.value.exit_code == 4


def test_a_configuration_that_lacks_something_is_a_checkpoint_error(run: Run, host: PluginHost) -> None:
    (run.directory / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"config\.json has no"):
        api.evaluate(run.directory, host=host)


def test_a_run_reads_its_metrics_and_checkpoints(run: Run) -> None:
    again = Run(run.directory)
    assert again == run
    assert again.evaluation is None
    assert [line["step"] for line in again.metrics] == [8, 16, 24, 32]
    assert [load(path).manifest.step for path in again.checkpoints] == [16, 24, 32]
    assert again.latest == again.checkpoints[-1]


WITHOUT_ENGINES = """
import importlib.util, sys
from pathlib import Path
for name in ("torch", "jax", "numba", "puffer_ppo", "puffer_backend_torch"):
    sys.modules[name] = None
spec = importlib.util.spec_from_file_location("plans", sys.argv[1])
plans = importlib.util.module_from_spec(spec); spec.loader.exec_module(plans); plans.parts()
from puffer_core import evaluate, load_policy
from puffer_core.plugins import PluginHost
host = PluginHost.discover(third_party=False, environ={}, blocked={"puffer-ppo", "puffer-backend-torch"})
plans.register(host)
print(load_policy(sys.argv[2], host=host)([0.0, 0.0]), evaluate(sys.argv[2], episodes=3, host=host).episodes)
"""


def test_a_portable_policy_needs_no_engine(plans: ModuleType, run: Run) -> None:
    command = [sys.executable, "-c", WITHOUT_ENGINES, str(plans.__file__), str(run.directory)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert said[0] in ("0", "1")
    assert said[1] == "3"


def test_a_policy_whose_module_lacks_a_package_says_which(
    host: PluginHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "needy_policy.py").write_text("import absent_engine.nn\n")
    for target, remedy in {"needy_policy:Net": "it needs absent_engine", "nowhere_policy:Net": "PYTHONPATH="}.items():
        with pytest.raises(CheckpointError, match="cannot be imported") as caught:
            _find_unpackaged(tmp_path, target, host)
        assert remedy in caught.value.remedy
