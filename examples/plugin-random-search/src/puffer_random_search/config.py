"""Options of random search."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RandomSearchConfig(BaseModel):
    """Options of the trainer `random-search`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    horizon: int = Field(256, ge=1)
    """Steps of each environment that a candidate is judged by. More: a surer verdict, fewer candidates."""
    noise: float = Field(0.1, gt=0)
    """Standard deviation of what is added to each parameter at first. Larger: bolder candidates, fewer successes."""
    noise_minimum: float = Field(0.03, gt=0)
    """It adapts to how often candidates succeed, but not below this."""
