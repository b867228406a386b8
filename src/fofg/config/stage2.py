"""Stage 2 and what is measured at its end: iterated RFT, reinforcement learning, evaluation."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from fofg.config.stage1 import Rollouts, Selection, SFTConfig
from fofg.config.types import (
    Betas,
    Count,
    Levels,
    LossAggMode,
    Name,
    Natural,
    Positive,
    Probability,
    Section,
    TrainingEngine,
    null_removes,
)
from fofg.config.values import Source


def _varied(rollouts: Rollouts) -> Rollouts:
    if rollouts.temperature == 0:
        raise ValueError("temperature 0 gives equal responses; raise it")
    return rollouts


#: Settings for several responses to a problem, which must be able to differ.
VariedRollouts = Annotated[Rollouts, AfterValidator(_varied)]


class Stage2Rft(Section):
    """Rejection fine-tuning on compositions, iterated (paper §4.2): each iteration on its own problems."""

    dataset: str = Field(description="dataset whose training split is cut into chunks")
    num_iterations: Count
    examples_per_iteration: Count = Field(description="problems per chunk")
    chunk_seed: Natural | None = Field(
        description="seed of the shuffle that assigns problems to iterations; null: chunks in file order"
    )
    on_empty_selection: Literal["error", "keep_model"] = Field(
        description="an iteration without a response to train on: stop, or pass its model on unchanged"
    )
    rollouts: VariedRollouts
    selection: Selection
    sft: SFTConfig


class Phase(Section):
    """One phase of a curriculum: a number of steps on a mixture of problems."""

    steps: Count = Field(description="steps: one batch of groups each")
    mixture: dict[Source, Positive] = Field(min_length=1, description="dataset (its training split) or file of problems -> weight")


Phases = Annotated[list[Phase], Field(min_length=1)]


class Validation(Section):
    """Accuracy on held-out problems while a run trains: one response each. A measurement: it changes no model."""

    every: Natural = Field(description="steps between validations, one before the first step included; 0: none")
    dataset: str = Field(description="dataset whose test split is answered; one of its own keeps the evaluation unseen")
    levels: Levels
    problems: Count = Field(description="problems per level: the first of the dataset")
    greedy: bool = Field(description="true: greedy responses, as in the public code; false: sampled like the rollouts")


class GRPOConfig(Section):
    """Group relative policy optimization with dynamic sampling (paper §4.1)."""

    engine: TrainingEngine
    rollouts: VariedRollouts = Field(description="samples: the size of a group")
    prompts_per_step: Count = Field(description="groups that a step trains on; 16 in the paper")
    mini_batch_prompts: Count = Field(description="groups per optimizer update; prompts_per_step: on-policy, as in the paper")
    filter_groups: bool = Field(
        description="true: dynamic sampling, groups of equal rewards are dropped (DAPO); false: kept (GRPO)"
    )
    generation_prompts: Count = Field(description="prompts drawn at once until a step's groups are found; 32 in the paper")
    max_generation_batches: Count = Field(description="draws per step, at most; 10 in the paper")
    scale_rewards: Literal["group", "none"] = Field(description="group: advantages are divided by the group's standard deviation")
    negative_weight: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0,
        description="weight of negative advantages, those of wrong responses; 1 in the paper; 0: learn from right responses alone",
    )
    loss_agg_mode: LossAggMode
    kl_coef: Annotated[float, Field(ge=0)] = Field(
        description="weight of the KL divergence from the Stage-1 model in the loss (estimator k3); 0 (paper): no reference model"
    )
    entropy_coef: Annotated[float, Field(ge=0)] = Field(
        description="weight of the entropy bonus in the loss; 0 in the paper, 0.001 in the public script"
    )
    clip_low: Probability = Field(description="the ratio is clipped at 1 - clip_low")
    clip_high: Probability = Field(description="the ratio is clipped at 1 + clip_high")
    learning_rate: Positive
    warmup_steps: Natural
    weight_decay: Annotated[float, Field(ge=0)]
    betas: Betas
    max_grad_norm: Positive
    precision: Literal["auto", "bfloat16", "float32"] = Field(description="auto: bfloat16 where the machine has it")
    seed: Natural = Field(description="of the order of problems")

    @field_validator("mini_batch_prompts")
    @classmethod
    def _divides(cls, prompts: int, info: ValidationInfo) -> int:
        if "prompts_per_step" in info.data and info.data["prompts_per_step"] % prompts:
            raise ValueError(f"does not divide prompts_per_step ({info.data['prompts_per_step']})")
        return prompts

    @field_validator("negative_weight")
    @classmethod
    def _can_be_weighted(cls, weight: float, info: ValidationInfo) -> float:
        if weight != 1 and info.data.get("engine") == "verl":
            raise ValueError("engine verl weights all advantages alike: 1, or stage2.rl.engine: torch")
        return weight

    @field_validator("rollouts")
    @classmethod
    def _is_group(cls, rollouts: Rollouts) -> Rollouts:
        if rollouts.samples < 2:
            raise ValueError("a group needs at least 2 samples")
        return rollouts


class Stage2Rl(GRPOConfig):
    """Reinforcement learning: one model for each curriculum."""

    validation: Validation
    on_empty_step: Literal["error", "skip"] = Field(
        description="a step in which no group's rewards differ: stop, or continue without an update"
    )
    on_incomplete_step: Literal["error", "train"] = Field(
        description="fewer than prompts_per_step groups after max_generation_batches: stop (public code), or train on those"
    )
    curricula: Annotated[dict[Name, Phases], null_removes(dict[Name, Phases | None])] = Field(
        min_length=1, description="name -> phases, one after another; each makes the model stage2-rl-NAME; null removes one"
    )


class Stage2(Section):
    """New skills by composition."""

    rft: Stage2Rft
    rl: Stage2Rl


def _without_repeats(names: list[str]) -> list[str]:
    if len({*names}) < len(names):
        raise ValueError("a dataset is named twice")
    return names


class Evaluation(Section):
    """Accuracy on test problems."""

    dataset: str = Field(description="dataset whose test split all models answer")
    splits: Annotated[list[str], AfterValidator(_without_repeats)] = Field(
        description="further datasets whose test splits all models answer, sampled: e.g. seen and new pairs of training functions"
    )
    greedy: bool = Field(description="also one greedy response per problem")
    rollouts: Rollouts = Field(description="samples: n of avg@n")


class Passk(Section):
    """pass@k (paper §4.4; Chen et al. 2021)."""

    dataset: str = Field(description="dataset whose test split is answered")
    models: list[str] = Field(min_length=1, description="base, stage0, stage1-rft, stage2-rft-iterN, stage2-rl-NAME")
    shard_size: Count = Field(description="problems per shard; see rollout_engine.shard_size")
    rollouts: VariedRollouts = Field(description="samples: n; 1,000 in the paper")


class Samples(Section):
    """The page of responses, results/samples.html."""

    problems: Count = Field(description="problems per level: the first of each evaluation, with one response of each model")


class Failures(Section):
    """Classes of wrong responses (paper §4.5)."""

    levels: Levels = Field(description="lowest and highest level of the evaluation's problems; 3 in the paper")
