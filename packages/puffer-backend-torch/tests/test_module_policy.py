"""A user's module as a policy: the contract, what becomes of its buffers, and what it is told where it does not fit."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, Space
from pydantic import BaseModel
from torch import nn

from puffer_backend_torch import ModulePolicy
from puffer_backend_torch.backend import TorchBackend
from puffer_backend_torch.config import TorchConfig
from puffer_core.contracts.policy import ExportsItself, PolicyInterface
from puffer_core.distributions import head_sizes
from puffer_core.errors import ShapeError, UnsupportedError, UsageError
from puffer_core.numpy_backend import numpy_ops
from puffer_core.spaces.layout import Layout
from puffer_testing import PolicyConformance

BOX, TWO = Box(-1, 1, (3,)), Discrete(2)


class Net(nn.Module):
    """What the documentation shows: actor and critic over one body."""

    def __init__(self, observation_space, action_space, hidden: int = 8):
        super().__init__()
        self.body = nn.Linear(observation_space.shape[0], hidden)
        self.actor = nn.Linear(hidden, action_space.n)
        self.critic = nn.Linear(hidden, 1)

    def forward(self, observation):
        x = torch.tanh(self.body(observation))
        return self.actor(x), self.critic(x)


class Any(nn.Module):
    """Any space, by a matrix for each leaf of the observation and each head of the action; outputs by name."""

    def __init__(self, observation_space, action_space):
        super().__init__()
        leaves = Layout.of(observation_space).leaves
        self.sizes = {leaf.name: math.prod(leaf.shape) for leaf in leaves}
        self.leaves = nn.ModuleDict({f"leaf {i}": nn.Linear(max(1, n), 8) for i, n in enumerate(self.sizes.values())})
        self.heads = nn.ModuleDict(
            {name.replace(".", " "): nn.Linear(8, size) for name, size in head_sizes(Layout.of(action_space)).items()}
        )
        self.log_std = nn.Parameter(torch.zeros(1))
        self.critic = nn.Linear(8, 1)

    def forward(self, observation):
        parts = observation if isinstance(observation, dict) else {"": observation}
        x = sum(
            layer(parts[name].float().reshape(len(parts[name]), -1))
            for name, layer in zip(self.sizes, self.leaves.values(), strict=True)
        )
        outputs = {name.replace(" ", "."): head(torch.tanh(x)) for name, head in self.heads.items()}
        deviations = {"log_std" + n.removeprefix("mean"): self.log_std for n in outputs if n.startswith("mean")}
        return outputs | deviations | {"value": self.critic(x)}


class Normed(Net):
    """Batch normalisation, and a part that does not learn."""

    def __init__(self, observation_space, action_space):
        super().__init__(observation_space, action_space)
        self.norm = nn.BatchNorm1d(observation_space.shape[0])
        self.fixed = nn.Linear(3, 3).requires_grad_(requires_grad=False)

    def forward(self, observation):
        return super().forward(self.norm(self.fixed(observation)))


class Cell(Net):
    """A memory of one step."""

    def __init__(self, observation_space, action_space):
        super().__init__(observation_space, action_space)
        self.cell = nn.LSTMCell(observation_space.shape[0], 8)

    def initial_carry(self, rows):
        return torch.full((rows, 8), 0.5), torch.zeros(rows, 8)

    def forward(self, observation, carry):
        carry = self.cell(observation, carry)
        return self.actor(carry[0]), self.critic(carry[0]), carry


class Whole(Net):
    """A memory over whole sequences, which starts anew by itself."""

    def __init__(self, observation_space, action_space):
        super().__init__(observation_space, action_space)
        self.cell = nn.GRUCell(8, 8)

    def initial_carry(self, rows):
        return {"h": torch.zeros(rows, 8)}

    def forward(self, observation, previous_reward, carry, reset):
        h, hidden = carry["h"], []
        for x, first in zip(torch.tanh(self.body(observation)), reset, strict=True):
            h = self.cell(x, torch.where(first[:, None], 0.0, h))
            hidden.append(h)
        x = torch.stack(hidden)
        return {"logits": self.actor(x), "value": self.critic(x)}, {"h": h}


def policy_of(net: type[nn.Module], *, observation: Space = BOX, action: Space = TWO, **given) -> ModulePolicy:
    interface = PolicyInterface(observation=Layout.of(observation), action=Layout.of(action), **given)
    return type("Mine", (ModulePolicy,), {"module": net})({}, interface)


class Conformance(PolicyConformance):
    net: type[nn.Module]
    observations = (BOX,)
    actions = (Discrete(3),)

    def make(self, observation, action, outputs):
        return policy_of(self.net, observation=observation, action=action, outputs=outputs)

    @pytest.fixture
    def backend(self):
        return TorchBackend(TorchConfig(device="cpu"))


class TestNet(Conformance):
    net = Net


class TestEverySpace(Conformance):
    net = Any
    observations = PolicyConformance.observations
    actions = PolicyConformance.actions


class TestNormed(Conformance):
    net = Normed


class TestCell(Conformance):
    net = Cell


class TestWhole(Conformance):
    net = Whole


@pytest.fixture
def backend() -> TorchBackend:
    return TorchBackend(TorchConfig(device="cpu"))


def test_it_exports_itself():
    assert isinstance(policy_of(Net), ExportsItself)


def test_first_parameters_are_those_of_the_constructor_and_leave_torchs_noise_alone():
    before = torch.random.get_rng_state()
    params = policy_of(Net).init(np.random.default_rng(7))
    assert torch.equal(before, torch.random.get_rng_state())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.default_rng(7).integers(2**63)))
        for name, tensor in Net(BOX, Discrete(2)).named_parameters():
            np.testing.assert_array_equal(params[name], tensor.detach().numpy())


def test_gradients_are_those_of_the_module(backend):
    policy, net = policy_of(Net), Net(BOX, Discrete(2))
    observation = torch.randn(4, 6, 3)
    params = {name: tensor.detach().clone() for name, tensor in net.named_parameters()}

    def loss(params):
        outputs, _ = policy.apply(
            backend.ops, params, {"observation": observation}, (), torch.zeros(4, 6, dtype=torch.bool), None
        )
        return outputs["logits"].square().sum() + outputs["value"].sum(), ()

    _, gradients = backend.ops.value_and_grad(loss)(params)
    logits, value = net(observation)
    (logits.square().sum() + value.sum()).backward()
    for name, tensor in net.named_parameters():
        torch.testing.assert_close(gradients[name], tensor.grad)


def test_a_compiled_loss_has_the_same_gradients(backend):
    from puffer_backend_torch.gradients import compiled_value_and_grad, value_and_grad

    policy = policy_of(Net)
    params = backend.to_device(policy.init(np.random.default_rng(0)))
    inputs, reset = {"observation": torch.randn(1, 6, 3)}, torch.zeros(1, 6, dtype=torch.bool)

    def loss(params):
        return policy.apply(backend.ops, params, inputs, (), reset, None)[0]["logits"].square().sum(), ()

    _, expected = value_and_grad(loss)(params)
    _, found = compiled_value_and_grad(loss, engine="aot_eager")(params)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient)


def test_buffers_and_frozen_parameters_are_statistics():
    params = policy_of(Normed).init(np.random.default_rng(0))
    assert sorted(name for name in params if name.startswith("stats.")) == [
        "stats.fixed.bias",
        "stats.fixed.weight",
        "stats.norm.num_batches_tracked",
        "stats.norm.running_mean",
        "stats.norm.running_var",
    ]


def test_batch_normalisation_learns_once_a_rollout_from_rows_that_count(backend):
    policy = policy_of(Normed)
    params = backend.to_device(policy.init(np.random.default_rng(0)))
    observation, weight = torch.randn(5, 4, 3), torch.ones(5, 4)
    observation[2:], weight[2:] = 1e6, 0
    with torch.no_grad():
        after = policy.update_stats(backend.ops, params, {"observation": observation}, weight)
        fixed = nn.functional.linear(observation[:2], params["stats.fixed.weight"], params["stats.fixed.bias"])
    expected = 0.1 * fixed.flatten(0, 1).mean(0)
    torch.testing.assert_close(after["stats.norm.running_mean"], expected)
    assert params["stats.norm.running_mean"].count_nonzero() == 0
    assert after["stats.norm.num_batches_tracked"] == 1


def test_statistics_stay_where_no_row_counts(backend):
    policy = policy_of(Normed)
    params = backend.to_device(policy.init(np.random.default_rng(0)))
    assert policy.update_stats(backend.ops, params, {"observation": torch.randn(1, 4, 3)}, torch.zeros(1, 4)) is params


def test_an_episode_starts_with_the_initial_carry_of_the_module(backend):
    h, c = policy_of(Cell).initial_carry(2)
    np.testing.assert_array_equal(h, np.full((2, 8), 0.5, np.float32))
    np.testing.assert_array_equal(c, np.zeros((2, 8), np.float32))


def test_lazy_layers_get_their_shapes_before_training():
    class Lazy(Net):
        def __init__(self, observation_space, action_space):
            super().__init__(observation_space, action_space)
            self.body = nn.LazyLinear(8)

    first, second = (policy_of(Lazy).init(np.random.default_rng(3)) for _ in range(2))
    assert first["body.weight"].shape == (8, 3)
    np.testing.assert_array_equal(first["body.weight"], second["body.weight"])


def test_a_shared_parameter_is_one():
    class Tied(Net):
        def __init__(self, observation_space, action_space):
            super().__init__(observation_space, action_space)
            self.again = self.body

    assert set(policy_of(Tied).init(np.random.default_rng(0))) == set(policy_of(Net).init(np.random.default_rng(0)))


def test_doubles_are_read_in_the_precision_of_the_parameters(backend):
    policy = policy_of(Net, observation=Box(-1, 1, (3,), np.float64))
    params = backend.to_device(policy.init(np.random.default_rng(0)))
    inputs = {"observation": torch.zeros(1, 2, 3, dtype=torch.float64)}
    outputs, _ = policy.apply(backend.ops, params, inputs, (), torch.zeros(1, 2, dtype=torch.bool), None)
    assert outputs["value"].dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_module_of_another_precision_has_parameters_of_float32(dtype):
    class Other(Net):
        def __init__(self, observation_space, action_space):
            super().__init__(observation_space, action_space)
            self.to(dtype)

    policy = policy_of(Other)
    params = policy.init(np.random.default_rng(0))
    assert {x.dtype.name for x in params.values()} == {"float32"}


def test_options_are_the_constructors_keywords():
    class Mine(ModulePolicy):
        module = Net

    interface = PolicyInterface(observation=Layout.of(BOX), action=Layout.of(Discrete(2)))
    assert Mine({"hidden": 5}, interface).init(np.random.default_rng(0))["body.bias"].shape == (5,)


def test_a_config_of_ones_own():
    class Sizes(BaseModel):
        hidden: int = 6

    class Mine(ModulePolicy):
        module = Net
        Config = Sizes

    interface = PolicyInterface(observation=Layout.of(BOX), action=Layout.of(Discrete(2)))
    assert Mine(Sizes(), interface).init(np.random.default_rng(0))["body.bias"].shape == (6,)


def test_an_action_mask_is_read_by_name():
    class Masked(Net):
        def forward(self, observation, action_mask):
            logits, value = super().forward(observation)
            return logits * action_mask, value

    assert policy_of(Masked).inputs == {"observation", "action_mask"}


def test_a_box_action_by_position(backend):
    class Gauss(nn.Module):
        def __init__(self, observation_space, action_space):
            super().__init__()
            self.mean = nn.Linear(3, 2)
            self.log_std = nn.Parameter(torch.zeros(2))

        def forward(self, observation):
            return self.mean(observation), self.log_std, observation.sum(-1)

    policy = policy_of(Gauss, action=Box(-1, 1, (2,)))
    params = backend.to_device(policy.init(np.random.default_rng(0)))
    inputs = {"observation": torch.zeros(1, 4, 3)}
    outputs, _ = policy.apply(backend.ops, params, inputs, (), torch.zeros(1, 4, dtype=torch.bool), None)
    assert {name: tuple(x.shape) for name, x in outputs.items()} == {
        "mean": (1, 4, 2),
        "log_std": (1, 4, 2),
        "value": (1, 4),
    }


# --- what does not fit is said before anything is trained


def forward(give):
    """A `Net` whose forward gives `give(logits, value)`."""
    return type("Odd", (Net,), {"forward": lambda self, observation: give(*Net.forward(self, observation))})


@pytest.mark.parametrize(
    ("net", "error", "words"),
    [
        (forward(lambda logits, value: (logits[:, :1], value)), ShapeError, r"logits torch.float32 \[3, 1\].*, 2\]"),
        (forward(lambda logits, value: (logits, value.mean())), ShapeError, "value"),
        (forward(lambda logits, value: (logits, value.squeeze())), ShapeError, "value"),
        (forward(lambda logits, value: logits), UnsupportedError, "without value; expected logits"),
        (forward(lambda logits, value: {"action": logits, "value": value}), ShapeError, "without logits"),
        (forward(lambda logits, value: (logits, value, value)), ShapeError, "3 outputs, expected logits, value"),
        (forward(lambda logits, value: (logits @ logits, value)), ShapeError, "failed on 3 rows of observation torch"),
        (forward(lambda logits, value: (logits + torch.rand(1), value)), UnsupportedError, "draws random numbers"),
        (forward(lambda logits, value: None), ShapeError, "gave nothing for logits, expected tensors"),
        (forward(lambda logits, value: (logits.detach().numpy(), value)), ShapeError, "gave a ndarray for logits"),
        (forward(lambda logits, value: (logits.cumsum(0), value)), UnsupportedError, "influence one another: logits"),
        (forward(lambda logits, value: (logits, value / len(value))), UnsupportedError, "influence one another: value"),
    ],
)  # fmt: skip
def test_outputs_that_do_not_fit(net, error, words):
    with pytest.raises(error, match=words):
        policy_of(net)


def test_outputs_may_be_a_list():
    policy_of(forward(lambda logits, value: [logits, value]))


def test_an_observation_that_is_written_into_is_refused():
    class Halves(Net):
        def forward(self, observation):
            observation["pos"].mul_(0.5)
            return super().forward(observation["pos"])

        def __init__(self, observation_space, action_space):
            super().__init__(observation_space["pos"], action_space)

    with pytest.raises(UnsupportedError, match=r'writes into its observation\["pos"\]'):
        policy_of(Halves, observation=Dict(pos=BOX))


def test_layers_that_the_module_does_not_know_are_refused():
    class Listed(Net):
        def __init__(self, observation_space, action_space):
            super().__init__(observation_space, action_space)
            self.more = [nn.Linear(3, 3)]

        def forward(self, observation):
            return super().forward(self.more[0](observation))

    with pytest.raises(UnsupportedError, match=r"parameter \[3, 3\] that is not among the module's") as caught:
        policy_of(Listed)
    assert "nn.ModuleList" in caught.value.remedy


def test_a_module_without_anything_to_learn_is_refused():
    class Fixed(Net):
        def __init__(self, observation_space, action_space):
            super().__init__(observation_space, action_space)
            self.requires_grad_(requires_grad=False)

    with pytest.raises(UnsupportedError, match="nothing to learn"):
        policy_of(Fixed)


def test_a_part_that_torch_jit_compiled_is_refused():
    class Scripted(Net):
        def __init__(self, observation_space, action_space):
            super().__init__(observation_space, action_space)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                self.body = torch.jit.script(self.body)

    with pytest.raises(UnsupportedError, match=r"torch\.jit compiled the part body"):
        policy_of(Scripted)


def test_dropout_is_refused_by_its_name():
    class Dropped(Net):
        def __init__(self, observation_space, action_space):
            super().__init__(observation_space, action_space)
            self.drop = nn.Sequential(nn.Dropout(0.1))

        def forward(self, observation):
            return super().forward(self.drop(observation))

    with pytest.raises(UnsupportedError, match=r"draws random numbers in its forward \(drop.0: Dropout\)"):
        policy_of(Dropped)


def test_a_buffer_that_changes_in_evaluation_is_refused():
    class Counting(Net):
        def __init__(self, observation_space, action_space):
            super().__init__(observation_space, action_space)
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, observation):
            self.seen += len(observation)
            return super().forward(observation)

    with pytest.raises(UnsupportedError, match="changes seen in evaluation"):
        policy_of(Counting)


def test_running_statistics_behind_a_memory_are_refused():
    class Both(Cell):
        def __init__(self, observation_space, action_space):
            super().__init__(observation_space, action_space)
            self.norm = nn.BatchNorm1d(3)

        def forward(self, observation, carry):
            return super().forward(self.norm(observation), carry)

    with pytest.raises(UnsupportedError, match="has a memory"):
        policy_of(Both)


def test_a_carry_of_another_shape_is_refused():
    class Grows(Cell):
        def forward(self, observation, carry):
            *outputs, (h, c) = super().forward(observation, carry)
            return *outputs, (torch.cat([h, h], -1), c)

    with pytest.raises(ShapeError, match="gave a carry"):
        policy_of(Grows)


@pytest.mark.parametrize("first", [lambda rows: torch.zeros(2, rows, 8), lambda rows: np.zeros((rows, 8)), lambda: 0])
def test_a_beginning_that_is_not_one_of_rows_is_refused(first):
    class Other(Cell):
        def initial_carry(self, *rows):
            return first(*rows)

    with pytest.raises(ShapeError, match=r"Other\.initial_carry\(7\)"):
        policy_of(Other)


def test_a_memory_needs_a_beginning():
    class Endless(Net):
        def forward(self, observation, carry):
            return (*super().forward(observation), carry)

    with pytest.raises(UsageError, match="has no initial_carry"):
        policy_of(Endless)


def test_an_input_that_nobody_gives_is_refused():
    class Wants(Net):
        def forward(self, observation, weather):
            return super().forward(observation)

    with pytest.raises(UsageError, match="takes weather, expected"):
        policy_of(Wants)


def test_an_input_that_the_env_does_not_give_is_refused():
    class Wants(Net):
        def forward(self, observation, global_state):
            return super().forward(observation)

    with pytest.raises(UnsupportedError, match="reads global_state"):
        policy_of(Wants)


@pytest.mark.parametrize("space", [Dict(a=BOX), Discrete(3)])
def test_a_constructor_that_cannot_take_the_space(space):
    with pytest.raises(UnsupportedError, match=r"Net\("):
        policy_of(Net, observation=space)


def test_a_part_called_stats_would_not_learn():
    class Clash(Net):
        def __init__(self, observation_space, action_space):
            super().__init__(observation_space, action_space)
            self.stats = nn.Linear(2, 2)

    with pytest.raises(UnsupportedError, match=r"stats\.weight would not learn"):
        policy_of(Clash)


def test_another_engine_is_refused():
    policy = policy_of(Net)
    with pytest.raises(UnsupportedError, match="runs on torch, not on numpy"):
        policy.apply(numpy_ops, policy.init(np.random.default_rng(0)), {}, (), np.zeros((1, 1), bool), None)


def test_what_is_no_module_is_refused():
    with pytest.raises(UsageError, match="expected a class of torch"):
        type("Mine", (ModulePolicy,), {"module": None})
