"""Throughputs, lengths and shares for estimates of time, memory and disk."""

from typing import Annotated

from pydantic import Field

from fofg.config.types import Count, Positive, Probability, Section

_Seconds = Annotated[float, Field(ge=0)]


class Plan(Section):
    """Assumptions for estimates, not measured by the run; no result depends on them.

    Tokens per second are those of one GPU, or of the machine where neither ``rollout_engine.gpus`` nor ``training.gpus`` is set.
    """

    rollout_tokens_per_second: Positive = Field(description="response tokens; reading the prompts is part of it")
    sft_tokens_per_second: Positive = Field(description="tokens of prompt and response in fine-tuning")
    rl_tokens_per_second: Positive = Field(description="tokens in updates of reinforcement learning, without rollouts")
    start_seconds: _Seconds = Field(description="from a job's start to its first token: packages, weights, CUDA graphs")
    rl_step_seconds: _Seconds = Field(description="per RL step in addition to its tokens: weight transfer, waiting")
    save_seconds: _Seconds = Field(description="per checkpoint in training")
    finish_seconds: _Seconds = Field(description="from a training's last checkpoint to its model: merge, convert, write")
    mean_prompt_tokens: Positive = Field(description="prompt without definitions, as in training")
    mean_response_tokens: Positive = Field(description="response, before the limit max_response_tokens")
    generation_batches: Annotated[float, Field(ge=1)] = Field(
        description="draws of generation_prompts per step, before the limit max_generation_batches"
    )
    kept_share: Probability = Field(description="share of responses that are selected for fine-tuning")
    model_parameters: Count = Field(description="of a base model on the hub; those of a folder are counted")
