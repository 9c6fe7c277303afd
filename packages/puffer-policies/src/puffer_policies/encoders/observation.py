"""An encoder for each part of an observation: images by convolutions, all the rest as one vector."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

import numpy as np

from puffer_core.arrays import Array, Params
from puffer_core.contracts.ops import Dtype, Ops
from puffer_core.errors import UnsupportedError
from puffer_core.spaces.layout import Layout, Leaf
from puffer_policies.encoders.impala import Impala
from puffer_policies.encoders.nature import SMALLEST, nature, small
from puffer_policies.encoders.vector import scaled

EncoderName: TypeAlias = Literal["auto", "vector", "nature", "impala", "small"]


class ImageEncoder(Protocol):
    """From images to features."""

    features: int

    def init(self, rng: np.random.Generator) -> Params:
        """Fresh parameters, float32."""
        ...

    def apply(self, ops: Ops, params: Params, x: Array) -> Array:
        """`[batch, height, width, channels]` to `[batch, ...]`, `features` elements each."""
        ...


_ENCODERS: dict[str, Callable[[str, tuple[int, int, int]], ImageEncoder]] = {
    "nature": nature,
    "impala": Impala,
    "small": small,
}


class ImageLeaf:
    """One image of an observation with the encoder that reads it.

    Channels stand last, or first where the first axis is the shorter one, as in stacks of frames `[4, 84, 84]`.

    Args:
        leaf: a box of three axes.
        encoder: which one; `auto` is `nature`, or `small` where an edge is under 36 pixels.

    Raises:
        UnsupportedError: the image is too small for the encoder.
    """

    def __init__(self, leaf: Leaf, encoder: EncoderName) -> None:
        self.leaf = leaf
        self._channels_first = leaf.shape[0] < leaf.shape[2]
        first, second, third = leaf.shape
        shape = (second, third, first) if self._channels_first else (first, second, third)
        fits = min(shape[:2]) >= SMALLEST
        if encoder == "nature" and not fits:
            raise UnsupportedError(
                f"encoder nature: an image {leaf.name or 'observation'} of {shape[0]} x {shape[1]} pixels; its kernels "
                f"need {SMALLEST} along each edge",
                remedy="use --policy.encoder small or impala, which read images of any size",
            )
        name = ("nature" if fits else "small") if encoder == "auto" else encoder
        self._encoder = _ENCODERS[name](f"encoder.{leaf.name}" if leaf.name else "encoder", shape)
        self._shape = shape
        self.features = self._encoder.features
        self.init = self._encoder.init

    def apply(self, ops: Ops, params: Params, x: Array, dtype: Dtype) -> Array:
        """`[time, rows, *leaf.shape]` to `[time, rows, features]`."""
        images = ops.reshape(scaled(ops, self.leaf, x, dtype), (-1, *self.leaf.shape))
        if self._channels_first:
            images = ops.permute_dims(images, (0, 2, 3, 1))
        features = self._encoder.apply(ops, params, images)
        return ops.reshape(features, (x.shape[0], -1, self.features))


def is_image(leaf: Leaf) -> bool:
    """Whether a leaf is a box of three axes.

    Example:
        >>> from gymnasium.spaces import Box
        >>> [is_image(Layout.of(Box(0, 255, shape, np.uint8)).leaves[0]) for shape in [(8, 8, 3), (64,)]]
        [True, False]
    """
    return leaf.kind == "box" and len(leaf.shape) == 3 and math.prod(leaf.shape) > 0


def divide(policy: str, observation: Layout, encoder: EncoderName) -> tuple[list[ImageLeaf], list[Leaf]]:
    """The images of an observation, each with its encoder, and the leaves that make one vector.

    Args:
        policy: whose observation it is, for the message.
        observation: how a row lies.
        encoder: for images; `vector` takes them as vectors too.

    Raises:
        UnsupportedError: an image encoder was asked for and there is no image.
    """
    chosen = [leaf for leaf in observation.leaves if encoder != "vector" and is_image(leaf)]
    if not chosen and encoder in _ENCODERS:
        raise UnsupportedError(
            f"policy {policy}: encoder {encoder} reads images, boxes of three axes; the observation is {observation}",
            remedy="use --policy.encoder vector or auto",
        )
    return [ImageLeaf(leaf, encoder) for leaf in chosen], [leaf for leaf in observation.leaves if leaf not in chosen]
