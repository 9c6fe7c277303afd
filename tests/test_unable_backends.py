"""A backend that is not there, or cannot do what is asked: who could, and the command that helps."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from puffer_core.cli.main import main
from puffer_core.cli.train import run_train
from puffer_core.errors import PluginError, UsageError
from puffer_core.plugins import PluginHost
from puffer_core.plugins.loading import HookManager

POLICY = """
class {name}:
    backends = frozenset({{"torch"}})
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def without(distribution: str) -> PluginHost:
    """The plugins that there would be if one were not installed."""
    host = PluginHost.discover(third_party=False, environ={})
    provided = [item for kind in ("env", "policy", "trainer", "backend", "logger") for item in host.provided(kind)]
    records = tuple(record for record in host.records if record.name != distribution)
    return PluginHost(HookManager(), records, [item for item in provided if item.distribution != distribution])


@pytest.mark.parametrize("name", ["torch", "jax", "onnx"])
def test_one_that_is_not_installed_comes_with_the_command_that_installs_it(name: str) -> None:
    with pytest.raises(UsageError, match=f"--backend: unknown backend '{name}'") as caught:
        run_train(["ppo", "cartpole", "--backend", name], without(f"puffer-backend-{name}"))
    assert caught.value.remedy == f"Install it: pip install puffer-backend-{name}"


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_one_whose_engine_is_not_installed_says_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [module for module in sys.modules if module.startswith(f"puffer_backend_{name}.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)  # as Python has it for what cannot be imported
    host = PluginHost.discover(third_party=False, environ={})
    with pytest.raises(PluginError, match=f"backend {name} of puffer-backend-{name} .* cannot be imported") as caught:
        host.load(host.find("backend", name))
    assert caught.value.remedy == f"It needs {name}, which is not installed: pip install puffer-backend-{name}"


def test_one_that_computes_no_gradients_is_told_with_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "ppo", "cartpole", "--backend", "numpy"]) == 2
    said = capsys.readouterr().err
    assert "--backend: got 'numpy', expected a backend that computes gradients, as ppo needs: jax, torch" in said


def test_one_that_a_policy_does_not_run_on_is_told_with_those_that_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "of_torch_alone.py").write_text(POLICY.format(name="Mine"))
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["train", "ppo", "cartpole", "--backend", "jax", "--policy", "py:of_torch_alone:Mine"]) == 2
    said = capsys.readouterr().err
    assert "--backend: got 'jax', expected a backend that policy mine runs on: torch" in said


def test_an_op_that_an_engine_does_not_have_ends_the_run_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "differentiating.py").write_text(
        "class Trainer:\n"
        "    def __init__(self, config, context):\n"
        "        context.backend.ops.value_and_grad(lambda params: (params['w'], ()))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["train", "py:differentiating:Trainer", "cartpole", "--backend", "numpy", "--total-steps", "1"]) == 2
    said = capsys.readouterr().err
    assert "the numpy backend computes no gradients: value_and_grad was called on it" in said
    assert "train on a backend that differentiates, torch or jax" in said


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--backend", "jax", "--backend.device", "tpu:7"], "backend jax: device is 'tpu:7', but this machine has "),
        (
            ["--backend", "torch", "--backend.device", "cuda:99"],
            "backend torch: device is 'cuda:99', but this machine has ",
        ),
        (["--backend", "jax", "--backend.threads", "2"], "--backend.threads: unknown flag"),
    ],
)
def test_an_option_that_it_cannot_serve_is_told(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "ppo", "cartpole", "--vector.mode", "native", *flags]) == 2
    assert said in capsys.readouterr().err
