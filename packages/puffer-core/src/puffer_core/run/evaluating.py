"""Evaluations of a run: of its agent as it stands, in envs of their own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from puffer_core.contracts.policy import Agent
from puffer_core.evaluation import Evaluation, evaluate
from puffer_core.run.context import EVALUATION_ROWS, RunContext


def evaluate_agent(context: RunContext, agent: Agent, should_stop: Callable[[], bool]) -> Evaluation:
    """Evaluate a run's agent as the run's options say, in envs of its own, whose seed depends on the run's alone.

    Raises:
        EvaluationStopped: `should_stop` said so.
    """
    backend, acting = context.backend, context.acting_backend
    params = agent.params if acting is backend else acting.to_device(backend.to_numpy(agent.params))
    episodes = context.plan.options.eval_episodes
    with closing(context.make_env(min(episodes, EVALUATION_ROWS))) as env:
        seed = context.streams.fixed("evaluation")
        return evaluate(Agent(agent.policy, params), acting, env, episodes=episodes, seed=seed, should_stop=should_stop)
