"""How the work is done and shown: engines, threads, figures, files of one's own, the embedded model."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from fofg.config.base import Count, Natural, Positive, Section


class RolloutEngine(Section):
    """Which engine makes roll-outs, and how the work is cut. Only ``name``, ``dtype`` and ``shard_size`` can change results."""

    name: str = Field(description="transformers, or package.module:Class of an engine of your own")
    dtype: Literal["auto", "bfloat16", "float32"]
    shard_size: Count = Field(description="problems a shard: one job, one file")
    batch_size: Count = Field(description="sequences decoded at once")
    threads: Count = Field(description="CPU threads a shard; with one, results do not depend on the number of cores")


class Training(Section):
    """How training runs; none of it changes results beyond rounding."""

    threads: Count = Field(description="CPU threads of Stage 1's fine-tuning")
    micro_batch_size: Count = Field(description="sequences in memory at once, for each CPU thread or on the GPU")
    save_every: Count = Field(description="optimizer steps between checkpoints to resume from")
    stage2_threads: Count = Field(description="CPU threads of a training run of Stage 2; runs stand side by side")
    rl_micro_batch_size: Count = Field(description="the same as micro_batch_size for reinforcement learning")
    rl_save_every: Count = Field(description="the same as save_every for reinforcement learning")
    pretraining_save_every: Count = Field(description="the same for the target tiny_base")
    log_every: Count = Field(description="optimizer steps between lines of metrics.jsonl")


class Figures(Section):
    formats: list[Literal["svg", "png", "pdf"]] = Field(min_length=1, description="each once; the first is shown in the report")
    dpi: Count
    font_size: Positive

    @field_validator("formats")
    @classmethod
    def _each_once(cls, formats: list[str]) -> list[str]:
        if len(set(formats)) < len(formats):
            raise ValueError("names a format twice")
        return formats


class Use(Section):
    """Files of your own instead of made ones; null: make them."""

    stage1_problems: str | None = Field(description="Parquet file of Stage-1 training problems")
    stage1_rft_data: str | None = Field(description="folder with train.parquet and test.parquet")
    stage1_checkpoint: str | None = Field(description="folder of a Stage-1 model in Hugging Face format")
    stage2_rft_problems: str | None = Field(description="Parquet file of problems, to be cut into chunks")


class TinyBase(Section):
    """Pre-training of the embedded base model."""

    hidden_size: Count
    layers: Count
    heads: Count
    intermediate_size: Count
    steps: Count
    tokens_per_step: Count
    learning_rate: Positive = Field(description="of AdamW (embeddings, norms)")
    matrix_learning_rate: Positive = Field(description="of Muon (weight matrices)")
    error_rate: Annotated[float, Field(ge=0, lt=1)] = Field(description="share of steps with a slip, so that the base is fallible")
    seed: Natural
