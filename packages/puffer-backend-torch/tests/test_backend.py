"""The torch backend against the contract, and what is torch's own."""

import json
import os

import numpy as np
import pytest
import torch

from puffer_backend_torch.backend import FEW_ROWS, TorchBackend
from puffer_backend_torch.config import TorchConfig
from puffer_core.contracts.backend import OptimizerConfig
from puffer_core.errors import UsageError
from puffer_testing.backend import BackendConformance


class TestTorch(BackendConformance):
    name = "torch"
    options = {"device": "cpu"}


@pytest.fixture
def backend():
    return TorchBackend(TorchConfig(device="cpu"))


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


# --- memory


def test_parameters_keep_their_address_on_the_way_in_through_learning_and_out(backend):
    weight = np.ones((3, 2), np.float32)
    params = backend.to_device({"w": weight})
    optimizer = backend.optimizer(OptimizerConfig())
    params, _ = optimizer.apply(params, {"w": torch.ones(3, 2)}, optimizer.init(params), 0.1)
    assert backend.to_numpy(params)["w"].ctypes.data == weight.ctypes.data
    np.testing.assert_allclose(weight, 0.9, rtol=1e-5)  # written in place: NumPy acts on what torch learned


def test_results_of_learning_can_be_read_and_learned_from_again(backend):
    def step(ops, params):
        (value, _), gradients = ops.value_and_grad(lambda p: (ops.sum(ops.square(p["w"])), ()))(params)
        return {name: params[name] - 0.25 * gradients[name] for name in params}, value

    compiled = backend.compile(step, consumes=(0,), rows=1)
    params = backend.to_device({"w": np.full(2, 2.0, np.float32)})
    for expected in (8.0, 2.0):
        params, value = compiled(params)
        assert not params["w"].requires_grad
        assert backend.to_numpy(value) == expected


def test_a_read_only_array_is_copied_and_never_written(backend):
    fixed = np.ones(3, np.float32)
    fixed.flags.writeable = False
    backend.to_device(fixed).add_(1)
    assert fixed.tolist() == [1, 1, 1]


def test_python_numbers_become_arrays_and_pass_a_copy(backend):
    assert backend.to_numpy({"a": 2.0, "b": (3,)}) == {"a": 2.0, "b": (3,)}
    assert backend.copy((0.5,)) == (0.5,)


# --- threads


@pytest.mark.parametrize(
    ("threads", "rows", "expected"),
    [("auto", 8, 1), ("auto", FEW_ROWS, 2), ("auto", 0, 2), (1, 10**6, 1), (2, 8, 2)],
)
def test_the_number_of_threads_follows_rows_and_config(two_threads, threads, rows, expected):
    backend = TorchBackend(TorchConfig(device="cpu", threads=threads))
    assert backend.compile(lambda ops: torch.get_num_threads(), rows=rows)() == expected
    assert torch.get_num_threads() == 2


def test_threads_and_gradients_are_as_before_after_an_error(two_threads, backend):
    def fail(ops):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        backend.compile(fail, rows=8)()
    assert torch.get_num_threads() == 2
    assert torch.is_grad_enabled()


# --- determinism


def test_deterministic_mode_holds_inside_compiled_functions_only():
    backend = TorchBackend(TorchConfig(device="cpu", deterministic=True))
    assert backend.compile(lambda ops: torch.are_deterministic_algorithms_enabled())()
    assert not torch.are_deterministic_algorithms_enabled()
    assert backend.describe()["deterministic"]


def test_default_mode_leaves_determinism_alone(backend):
    assert not backend.compile(lambda ops: torch.are_deterministic_algorithms_enabled())()


# --- devices


def test_auto_takes_a_device_that_exists():
    expected = "cuda:0" if torch.cuda.device_count() else "cpu"
    assert TorchBackend(TorchConfig()).device == expected


def test_an_unknown_device_is_refused_with_those_that_exist():
    with pytest.raises(UsageError, match=r"device is 'cuda:99'.*has cpu") as caught:
        TorchBackend(TorchConfig(device="cuda:99"))
    assert "--backend.device" in caught.value.remedy


def test_cuda_is_its_first_device_and_prepared_for_determinism(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(os, "environ", {})
    for name in ("cuda", "cuda:0", "auto"):
        backend = TorchBackend(TorchConfig(device=name, deterministic=True))
        assert (backend.device, backend.on_host) == ("cuda:0", False)
    assert os.environ == {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}


def test_describe_says_what_decides_speed_and_rounding(backend):
    described = json.loads(json.dumps(backend.describe()))
    assert described["version"] == torch.__version__
    assert described["build"] == ("cpu" if torch.version.cuda is None else f"cuda {torch.version.cuda}")
    assert described["threads_few_rows"] == 1
