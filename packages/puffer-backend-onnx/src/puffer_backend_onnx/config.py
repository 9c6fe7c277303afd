"""Options of the ONNX backend."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class OnnxConfig(BaseModel):
    """How graphs are built, and how they are run.

    Example:
        >>> OnnxConfig().opset
        18
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    opset: Annotated[int, Field(ge=18, le=23)] = 18
    """Version of ONNX's operators. Larger: newer operators, and fewer runtimes that know them."""
    threads: Annotated[int, Field(ge=0)] = 1
    """Threads of ONNX Runtime; 0: one for each core. More pay for large batches of images."""
