"""Gradients and their clipping, where torch has traps."""

import pytest
import torch

from puffer_backend_torch.gradients import clip_by_global_norm, compiled_value_and_grad, value_and_grad


def test_the_loss_reads_the_parameters_memory():
    weight = torch.ones(3)
    addresses = []

    def loss(params):
        addresses.append(params["w"].data_ptr())
        return params["w"].sum(), ()

    value_and_grad(loss)({"w": weight})
    assert addresses == [weight.data_ptr()]
    assert not weight.requires_grad


def test_a_loss_that_depends_on_no_parameter_has_zero_gradients():
    _, gradients = value_and_grad(lambda params, x: (x.sum(), ()))({"w": torch.ones(2)}, torch.ones(3))
    assert gradients["w"].tolist() == [0, 0]


def test_it_differentiates_under_no_grad_and_gives_plain_arrays():
    with torch.no_grad():
        (value, extra), gradients = value_and_grad(lambda p: (p["w"].sum(), {"twice": 2 * p["w"], "n": 3}))(
            {"w": torch.ones(2)}
        )
    assert gradients["w"].tolist() == [1, 1]
    assert not value.requires_grad
    assert not extra["twice"].requires_grad
    assert extra["n"] == 3


def test_clipping_takes_one_tensor_shared_by_two_parameters():
    def loss(params):
        return (params["a"] + params["b"]).sum(), ()

    _, gradients = value_and_grad(loss)({"a": torch.ones(2), "b": torch.ones(2)})
    clipped, norm = clip_by_global_norm(gradients, 1.0)
    assert norm.item() == pytest.approx(2.0)
    for name in "ab":
        assert clipped[name].tolist() == pytest.approx([0.5, 0.5])


def test_clipping_shows_a_gradient_that_is_not_finite():
    clipped, norm = clip_by_global_norm({"a": torch.tensor([float("nan"), 1.0])}, 1.0)
    assert norm.isnan()
    assert clipped["a"].isnan().all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_compiled_loss_has_the_same_gradients():
    def loss(params, x):
        return torch.tanh(x * params["w"]).sum(), {"x": x}

    arguments = {"w": torch.tensor([0.5, -1.0])}, torch.tensor([1.0, 2.0])
    (value, _), gradients = compiled_value_and_grad(loss, engine="eager")(*arguments)
    (expected, _), expected_gradients = value_and_grad(loss)(*arguments)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradients, expected_gradients)
