"""Engines, threads, cluster resources, figures, the user's own files, pre-training of the embedded model."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator

from fofg.config.countdown import CountdownShare
from fofg.config.types import Count, Name, Natural, Positive, Probability, Section, known, null_removes
from fofg.config.values import OwnPath


class TransformersOptions(Section):
    """Options of engine ``transformers``: none."""


class VllmOptions(Section):
    """Options of engine ``vllm``: memory and speed."""

    gpu_memory_utilization: Probability = 0.9
    enforce_eager: bool = False
    max_num_batched_tokens: Count | None = None
    kv_cache_memory_bytes: Count | None = None


#: Engines of the package -> what their options may hold.
ENGINE_OPTIONS: dict[str, type[Section]] = {"transformers": TransformersOptions, "vllm": VllmOptions}


class RolloutEngine(Section):
    """Engine that generates rollouts, and how the work is cut into jobs.

    Only ``name``, ``dtype`` and the options of a custom engine can change results; ``shard_size`` changes the files.
    """

    name: str = Field(description="transformers, vllm, or package.module:Class of an engine of your own")
    dtype: Literal["auto", "bfloat16", "float32"]
    shard_size: Count = Field(
        description="problems per shard (one job, one file); a change reruns rollouts, since files are kept per shard"
    )
    batch_size: Count = Field(description="sequences decoded at once")
    threads: Count = Field(description="CPU threads per shard; with one, results do not depend on the number of cores")
    gpus: Natural = Field(description="GPUs that a job has to itself (vllm: tensor parallel); 0: it looks for none")
    jobs_per_gpu: Count = Field(description="jobs that may share a GPU")
    options: dict[str, bool | int | float | str | None] = Field(
        description=f"the engine's own settings; vllm: {', '.join(VllmOptions.model_fields)}"
    )

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return known(name, tuple(ENGINE_OPTIONS), "package.module:Class")

    @field_validator("options")
    @classmethod
    def _are_the_engines(cls, options: dict, info: ValidationInfo) -> dict:
        engine = info.data.get("name")
        if engine not in ENGINE_OPTIONS:
            return options
        allowed = ENGINE_OPTIONS[engine]
        try:
            allowed(**options)
        except ValidationError as error:
            messages = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
            raise ValueError(f"{'; '.join(messages)} (engine {engine} has {', '.join(allowed.model_fields) or 'none'})") from None
        return options

    def is_own(self) -> bool:
        """Return whether the engine is a custom one of the user."""
        return self.name not in ENGINE_OPTIONS

    def speed_options(self) -> dict:
        """Return a built-in engine's keyword arguments, which change no result; a custom engine gets its options with the spec."""
        if self.is_own():
            return {}
        return {**self.options, **({"tensor_parallel_size": self.gpus} if self.name == "vllm" and self.gpus else {})}


class VerlConfig(Section):
    """Options of engine ``verl``: memory and speed."""

    tokens_per_gpu: Count = Field(description="tokens that a GPU trains on at once, at least one sequence")
    offload: bool = Field(description="weights and optimizer wait in main memory while RL's rollouts are made")
    attention: Literal["auto", "sdpa", "varlen", "flash_attention_2"] = Field(
        description="auto: flash_attention_2 where installed, else sdpa; varlen: PyTorch's kernel for packed rows (try it first)"
    )
    fused_kernels: bool = Field(description="log-probabilities and entropy in chunks, without the logits of all tokens at once")
    liger: bool = Field(description="RMSNorm, SwiGLU and rotary embeddings by the kernels of the package liger-kernel")
    gradient_checkpointing: bool = Field(description="compute activations again in the backward pass: less memory, slower steps")
    tensor_parallel_size: Count = Field(description="GPUs that hold one copy of the model while rollouts are made")
    gpu_memory_utilization: Probability = Field(description="share of a GPU's memory for rollouts")
    enforce_eager: bool = Field(description="rollouts without CUDA graphs: a shorter start, slower steps")
    torch_compile: bool = Field(description="compile the entropy's computation: for large models, since it takes a while")


#: Where training runs can be followed, apart from metrics.jsonl.
Tracker = Literal["tensorboard", "wandb"]


def _each_once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("a tracker is named twice")
    return names


class Training(Section):
    """How training runs; none of it changes results beyond rounding."""

    gpus: Natural = Field(description="GPUs per node that a job has to itself; 0: it uses the first it sees, if any")
    nodes: Count = Field(description="nodes of a job (engine verl)")
    verl: VerlConfig
    threads: Count = Field(description="CPU threads of Stage 1's fine-tuning")
    micro_batch_size: Count = Field(description="sequences in memory at once, for each CPU thread or on the GPU")
    save_every: Count = Field(description="optimizer steps between checkpoints to resume from")
    stage2_threads: Count = Field(description="CPU threads per training run of Stage 2, where several run at once")
    rl_micro_batch_size: Count = Field(description="the same as micro_batch_size for reinforcement learning")
    rl_save_every: Count = Field(description="the same as save_every for reinforcement learning")
    pretraining_save_every: Count = Field(description="the same for the target tiny_base")
    max_save_share: Probability = Field(
        description="share of a run's time that checkpoints may take: one that is due earlier is skipped; 1: no limit"
    )
    log_every: Count = Field(description="optimizer steps between lines of metrics.jsonl")
    trackers: Annotated[list[Tracker], AfterValidator(_each_once)] = Field(
        description="follow training runs in these, also: files under the model's folder (docs/trackers.md)"
    )
    keep_rollouts: Natural = Field(
        description="problems per RL step that are kept beside the model with all their responses (fofg show --step); 0: none"
    )

    def workers(self) -> int:
        """Return the number of GPUs of a job on all its nodes."""
        return self.gpus * self.nodes


class Resources(Section):
    """Resources of a job per node; null: as estimated."""

    mem_mb: Count | None = Field(default=None, description="main memory, megabytes")
    runtime: Count | None = Field(default=None, description="time limit, minutes")


#: Rules that run a model; generate_rollouts and train_sft include the RFT iterations.
ModelRule = Literal[
    "generate_rollouts",
    "generate_stage1_test_rollouts",
    "generate_held_out_rollouts",
    "generate_passk_rollouts",
    "train_sft",
    "train_rl",
]


class Cluster(Section):
    """What jobs request from a cluster, in addition to the estimates."""

    max_runtime: Count = Field(description="maximum time limit of a job; one that needs more resumes in a retry")
    resources: Annotated[dict[ModelRule, Resources], null_removes(dict[ModelRule, Resources | None])] = Field(
        description="of single rules, instead of the estimates"
    )
    grace_period: Count = Field(description="seconds before the time limit at which a job saves and exits; less than max_runtime")

    @field_validator("grace_period")
    @classmethod
    def _leaves_time_to_work(cls, seconds: int, info: ValidationInfo) -> int:
        limits = {"max_runtime": info.data.get("max_runtime")}
        limits |= {f"resources.{rule}.runtime": resources.runtime for rule, resources in info.data.get("resources", {}).items()}
        for key, minutes in limits.items():
            if minutes and seconds >= 60 * minutes:
                raise ValueError(f"leaves nothing of {key} ({minutes} minutes, {60 * minutes} seconds)")
        return seconds


class Figures(Section):
    formats: list[Literal["svg", "png", "pdf"]] = Field(min_length=1, description="each once; the first is shown in the report")
    dpi: Count
    font_size: Positive
    published: bool = Field(description="also draw the paper's points")

    @field_validator("formats")
    @classmethod
    def _each_once(cls, formats: list[str]) -> list[str]:
        if len(set(formats)) < len(formats):
            raise ValueError("names a format twice")
        return formats


class Use(Section):
    """Your own files in place of generated ones; null: generate them."""

    stage1_problems: OwnPath | None = Field(description="file of Stage-1 training problems, Parquet or JSON Lines")
    stage1_rft_data: OwnPath | None = Field(description="folder with train.parquet and test.parquet (or .jsonl)")
    stage1_checkpoint: OwnPath | None = Field(description="folder of a Stage-1 model in Hugging Face format")
    stage2_rft_problems: OwnPath | None = Field(description="file of problems to be cut into chunks")
    validation_problems: OwnPath | None = Field(description="file of the problems that RL is validated on")
    evaluation_problems: OwnPath | None = Field(description="file of the problems that every model answers")
    passk_problems: OwnPath | None = Field(description="file of problems for pass@k")
    models: Annotated[dict[Name, OwnPath], null_removes(dict[Name, OwnPath | None])] = Field(
        description="name -> folder of a model in Hugging Face format, evaluated and drawn beside the others"
    )


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
    nested_calls: Literal["all", "others", "none"] = Field(
        "all",
        exclude_if=lambda nested_calls: nested_calls == "all",
        description="functions of nested calls: all; others: the 20 that no problem has; none: single calls alone",
    )
    countdown: CountdownShare | None = Field(
        None, exclude_if=lambda countdown: countdown is None, description="conversations about Countdown, too; null: none"
    )
    seed: Natural
