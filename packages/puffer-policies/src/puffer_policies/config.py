"""Options of the policies `cnn`, `lstm`, `gru` and `mingru`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from puffer_policies.cores.core import Core
from puffer_policies.cores.gru import GruCore
from puffer_policies.cores.lstm import LstmCore
from puffer_policies.cores.mingru import MinGruCore
from puffer_policies.encoders.observation import EncoderName


class CompositeConfig(BaseModel):
    """What they have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: ClassVar[str]
    """Name that the policy is registered by."""

    encoder: EncoderName = "auto"
    """Of images, which are boxes of three axes: `nature` has large kernels, `small` takes small images, `impala` is
    deep and slower, `vector` convolves nothing. `auto`: `nature`, or `small` where an edge is under 36 pixels."""
    layer_sizes: tuple[PositiveInt, ...] = ()
    """Units of each fully connected layer behind the encoders; none: straight on."""
    activation: Literal["tanh", "relu", "silu", "gelu"] = "relu"
    """Of the fully connected layers."""
    normalize_observation: bool = False
    """Centre and scale observations, but for images, by their running mean and deviation, kept with the policy."""
    observation_clip: float = Field(10.0, gt=0)
    """Bound of a normalised observation, in standard deviations."""
    initial_log_std: float = Field(0.0, ge=-20, le=2)
    """Natural logarithm of the first standard deviation of continuous actions, which are scaled to [-1, 1]."""

    def core(self, inputs: int) -> Core | None:
        """What remembers, over a vector of this length; None: nothing does."""
        return None


class CnnConfig(CompositeConfig):
    """Options of the `cnn` policy."""

    policy = "cnn"

    layer_sizes: tuple[PositiveInt, ...] = (256,)
    """Units of each fully connected layer behind the encoders: 512 in Mnih et al. 2015, 256 in Espeholt et al. 2018."""


class RecurrentConfig(CompositeConfig):
    """What policies with a memory have in common."""

    hidden_size: PositiveInt = 128
    """Units of the memory. More: remembers more, slower."""


class LstmConfig(RecurrentConfig):
    """Options of the `lstm` policy."""

    policy = "lstm"

    def core(self, inputs: int) -> Core:
        return LstmCore(inputs, self.hidden_size)


class GruConfig(RecurrentConfig):
    """Options of the `gru` policy."""

    policy = "gru"

    def core(self, inputs: int) -> Core:
        return GruCore(inputs, self.hidden_size)


class MinGruConfig(RecurrentConfig):
    """Options of the `mingru` policy."""

    policy = "mingru"

    depth: PositiveInt = 1
    """Layers of memory, one behind another."""

    def core(self, inputs: int) -> Core:
        return MinGruCore(inputs, self.hidden_size, self.depth)
