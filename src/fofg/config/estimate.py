"""What ``fofg plan`` counts with: throughputs, lengths, shares, sizes."""

from typing import Annotated

from pydantic import Field

from fofg.config.types import Count, Positive, Probability, Section

_Seconds = Annotated[float, Field(ge=0)]


class Plan(Section):
    """Stated, not measured by the run itself; no result depends on any of it.

    Tokens a second are those of one GPU; of the whole machine where neither ``rollout_engine.gpus`` nor ``training.gpus`` asks for
    any.
    """

    rollout_tokens_per_second: Positive = Field(description="response tokens; reading the prompts is part of it")
    sft_tokens_per_second: Positive = Field(description="tokens of prompt and response that fine-tuning reads")
    rl_tokens_per_second: Positive = Field(description="the same of reinforcement learning, apart from its rollouts")
    pretraining_tokens_per_second: Positive = Field(description="the same of the target tiny_base")
    start_seconds: _Seconds = Field(description="from a job's start to its first token: packages, weights, CUDA graphs")
    rl_step_seconds: _Seconds = Field(
        description="of a step of reinforcement learning beside its tokens: weights handed over, waiting for the longest response"
    )
    mean_prompt_tokens: Positive = Field(description="of a prompt without definitions, as training reads it")
    mean_response_tokens: Positive = Field(description="never more than max_response_tokens is counted")
    generation_batches: Annotated[float, Field(ge=1)] = Field(
        description="draws of generation_prompts a step; never more than max_generation_batches is counted"
    )
    kept_share: Probability = Field(description="share of the responses that selection keeps as examples")
    model_parameters: Count = Field(description="of a base model that is no folder here; those of a folder are counted")
    bytes_per_token: Positive = Field(description="of a stored response, compressed")
