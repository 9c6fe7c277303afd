"""What TensorBoard shows, as its protocol buffers: built from numbers and arrays, without TensorFlow."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Num, UInt8
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.hparams.summary_v2 import hparams_pb

from puffer_core.errors import ShapeError

Pixels: TypeAlias = np.ndarray[Any, Any]

_CHANNELS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_LARGEST = float(np.finfo(np.float32).max)


def scalars(metrics: Mapping[Any, Any]) -> Summary:
    """One value a metric, float32. What is not one number is NaN.

    Example:
        >>> [(value.tag, value.simple_value) for value in scalars({"loss": 0.5}).value]
        [('loss', 0.5)]
    """
    return Summary(value=[Summary.Value(tag=tag(key), simple_value=number(metrics[key])) for key in metrics])


def tag(key: Any) -> str:
    """A key as protocol buffers can hold it: text, without halves of characters.

    Example:
        >>> tag("odd " + chr(0xD800) + " key"), tag(3)
        ('odd ? key', '3')
    """
    return str(key).encode("utf-8", "replace").decode()


def number(value: Any) -> float:
    """A float, of anything that is one number; NaN otherwise.

    Example:
        >>> number(np.float32(2)), number("many")
        (2.0, nan)
    """
    try:
        return float(detached(value))
    except (TypeError, ValueError, OverflowError, RuntimeError):  # RuntimeError: a tensor of several elements
        return float("nan")


def detached(value: Any) -> Any:
    """A tensor without its graph, on the CPU; anything else as it is."""
    for method in ("detach", "cpu"):
        value = getattr(value, method)() if hasattr(value, method) else value
    return value


def histogram(name: str, values: Num[np.ndarray, "..."], bins: int) -> Summary:
    """Counts in `bins` buckets of equal width from the smallest to the largest; NaN and infinities are left out.

    Example:
        >>> summary = histogram("weights", np.array([0.0, 1.0, 1.0, np.nan]), bins=2)
        >>> list(summary.value[0].histo.bucket_limit), list(summary.value[0].histo.bucket)
        ([0.5, 1.0], [1.0, 2.0])
    """
    flat = np.asarray(values, np.float64).ravel()
    flat = np.clip(flat[np.isfinite(flat)], -_LARGEST, _LARGEST)  # so that squares and differences are finite too
    if not len(flat):
        return Summary()
    low, high = float(flat.min()), float(flat.max())
    edges = np.unique(np.linspace(low, high, bins + 1))  # fewer, where floats have no room for so many
    counts, _ = np.histogram(flat, np.append(edges, high) if len(edges) == 1 else edges)
    shown = HistogramProto(
        min=low,
        max=high,
        num=len(flat),
        sum=float(flat.sum()),
        sum_squares=float((flat**2).sum()),
        bucket_limit=edges[1:] if len(edges) > 1 else edges,
        bucket=counts,
    )
    return Summary(value=[Summary.Value(tag=tag(name), histo=shown)])


def pixels(name: str, value: Any, axes: Sequence[str]) -> Pixels:
    """The array, if it is a picture or a film.

    Raises:
        ShapeError: it is not uint8, or has other axes, or no colours that a PNG has.
    """
    array = np.asarray(detached(value))
    if array.dtype != np.uint8 or array.ndim != len(axes) or array.shape[-1] not in _CHANNELS or 0 in array.shape:
        raise ShapeError(
            f"artifact {name!r} is {array.dtype} {list(array.shape)}; TensorBoard's logger takes uint8 "
            f"[{', '.join(axes)}], none of them 0, with 1 to 4 channels",
            remedy="Convert it where it is logged.",
        )
    return array


def image(name: str, frame: UInt8[np.ndarray, "height width channels"]) -> Summary:
    """A PNG."""
    buffer = io.BytesIO()
    _picture(frame).save(buffer, format="PNG")
    return _encoded(name, frame, buffer.getvalue())


def video(name: str, frames: UInt8[np.ndarray, "time height width channels"], fps: int) -> Summary:
    """An animated GIF that repeats: TensorBoard shows no other film. It has 256 colours a frame."""
    buffer = io.BytesIO()
    first, *others = [_picture(frame) for frame in frames]
    first.save(buffer, format="GIF", save_all=True, append_images=others, duration=round(1000 / fps), loop=0)
    return _encoded(name, frames[0], buffer.getvalue())


def text(name: str, value: Any) -> Summary:
    """Text, which TensorBoard reads as Markdown."""
    held = TensorProto(dtype=DT_STRING, string_val=[tag(value).encode()])
    held.tensor_shape.dim.add(size=1)
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    return Summary(value=[Summary.Value(tag=tag(name), metadata=metadata, tensor=held)])


def hyperparameters(config: Mapping[str, Any], run: str) -> Summary:
    """A configuration for the HParams tab; inner names are joined by dots, lists are JSON."""
    summary: Summary = hparams_pb(dict(_leaves(config, "")), trial_id=tag(run))
    return summary


def _leaves(value: Any, name: str) -> list[tuple[str, Any]]:
    """`{"policy": {"hidden": [64]}}` as `[("policy.hidden", "[64]")]`.

    Example:
        >>> _leaves({"policy": {"hidden": [64]}, "seed": 0}, "")
        [('policy.hidden', '[64]'), ('seed', 0)]
    """
    if isinstance(value, Mapping) and (value or not name):
        dot = "." if name else ""
        return [leaf for key in value for leaf in _leaves(value[key], f"{name}{dot}{tag(key)}")]
    if isinstance(value, bool | int | float):
        return [(name, value)]
    return [(name, tag(value if isinstance(value, str) else json.dumps(value, default=str)))]


def _picture(frame: UInt8[np.ndarray, "height width channels"]) -> Image.Image:
    return Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame)


def _encoded(name: str, frame: UInt8[np.ndarray, "height width channels"], data: bytes) -> Summary:
    height, width, channels = frame.shape
    held = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=data)
    return Summary(value=[Summary.Value(tag=tag(name), image=held)])
