"""Options of PPO."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from puffer_core.schedules import ScheduleName


class PpoConfig(BaseModel):
    """Options of the trainer `ppo`. Symbols are those of Schulman et al. 2017."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float = Field(2.5e-3, gt=0)
    """Adam's step size at the start. Larger: faster and less stable."""
    learning_rate_schedule: ScheduleName = "linear"
    """How the step size goes to 0 over the run: `constant` (it does not), `linear`, `cosine`."""
    horizon: int = Field(32, ge=1)
    """T: steps of each environment an update. More: better estimates, fewer updates."""
    epochs: int = Field(4, ge=1)
    """K: passes over the rollout an update."""
    minibatches: int = Field(4, ge=1)
    """Parts that each pass is cut into; each is one gradient step."""
    gamma: float = Field(0.99, ge=0, le=1)
    """Discount a step. Larger: looks further ahead."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """Lambda of generalised advantage estimation. Larger: less bias, more variance."""
    clip: float = Field(0.2, gt=0)
    """Epsilon: how far the probability ratio may move before its gradient is cut."""
    value_clip: float | None = Field(None, gt=0)
    """How far a value may move from the behaviour policy's before its gradient is cut, reward units; none: freely."""
    value_coefficient: float = Field(0.5, ge=0)
    """c1: weight of the value loss."""
    entropy_coefficient: float = Field(0.0, ge=0)
    """c2: weight of the entropy bonus. Larger: explores longer."""
    normalize_advantage: bool = True
    """Centre and scale the advantages of each rollout."""
    normalize_reward: bool = False
    """Divide rewards by the running deviation of the discounted return, kept with the policy."""
    max_grad_norm: float = Field(0.5, gt=0)
    """Bound of the gradient's 2-norm."""
    target_kl: float | None = Field(None, gt=0)
    """No further pass once the policy moved by more than this, in nats; none: all passes."""
