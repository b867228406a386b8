"""The configuration: typed, unknown keys refused, all errors at once.

Defaults live in ``config/default.yaml``, which is complete; here are the types, limits and meanings. ``fofg.stages`` cuts the
configuration into the part that each rule depends on.
"""

import difflib
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from fofg.errors import UserError

Probability = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Problems(Section):
    """Sampling and prompts of string problems (paper §3.1)."""

    sampler: Literal["paper", "balanced"] = Field(description="paper: the published procedure, row for row; balanced: our own")
    seed: Natural = Field(description="42 in the paper")
    input_length: tuple[Count, Count] = Field(description="fewest and most characters of an input (balanced)")
    max_output_length: Count | None = Field(description="no step of a problem gives more characters (balanced); null: no limit")
    template: str = Field(description="wording of the prompt, with {code} and {input} once each")

    @field_validator("template")
    @classmethod
    def _has_placeholders(cls, template: str) -> str:
        for placeholder in ("{code}", "{input}"):
            if template.count(placeholder) != 1:
                raise ValueError(f"needs {placeholder} exactly once, has it {template.count(placeholder)} times")
        return template

    @field_validator("input_length")
    @classmethod
    def _is_range(cls, length: tuple[int, int]) -> tuple[int, int]:
        if length[0] > length[1]:
            raise ValueError(f"the fewest ({length[0]}) is more than the most ({length[1]})")
        return length

    @field_validator("max_output_length")
    @classmethod
    def _has_room(cls, most: int | None, info: ValidationInfo) -> int | None:
        if most is not None and "input_length" in info.data and most < info.data["input_length"][1]:
            raise ValueError(f"less than the longest input ({info.data['input_length'][1]})")
        return most


class Split(Section):
    train: Count = Field(description="problems to train on")
    test: Count = Field(description="problems held back")


class Datasets(Section):
    """How many problems each data set has."""

    stage1_level1: Split


class Scoring(Section):
    """Rewards (paper §3.3; the published reward function)."""

    scheme: Literal["paper", "binary"] = Field(description="paper: +1 correct, 0 wrong, -1 no answer; binary: 1/0/0")
    answer_rule: Literal["published", "lenient"] = Field(description="lenient also finds answers that the published rule misses")


class Rollouts(Section):
    """One set of roll-outs."""

    samples: Count = Field(description="responses a problem")
    temperature: Annotated[float, Field(ge=0)] = Field(description="0: greedy")
    top_p: Probability
    max_prompt_tokens: Count
    max_response_tokens: Count
    long_prompts: Literal["error", "skip"] = Field(
        description="what to do with a prompt above max_prompt_tokens; skips are counted"
    )
    seed: Natural


class Rft(Section):
    """From roll-outs to training examples (paper §3.2)."""

    keep_definitions: bool = Field(description="false (paper): the training prompt does not show the definitions")
    drop_duplicates: bool = Field(description="keep one of several equal responses to a problem")
    max_per_problem: Count | None = Field(description="at most so many responses a problem; null: all")
    max_tokens: Count | None = Field(description="drop responses of more tokens; null: none")
    turns_per_example: Count = Field(description="up to so many problems as turns of one conversation; 1 in the paper")
    test_rows: Natural = Field(description="examples in rft_data/test.parquet; 1 in the paper")
    seed: Natural


class Sft(Section):
    """Supervised fine-tuning."""

    engine: Literal["trl"]
    learning_rate: Annotated[float, Field(gt=0)]
    epochs: Count
    batch_size: Count = Field(description="examples an optimizer step")
    max_length: Count = Field(description="tokens of prompt and response together")
    too_long: Literal["error", "skip", "truncate"] = Field(
        description="examples above max_length; truncate (paper) cuts on the right"
    )
    warmup_ratio: Annotated[float, Field(ge=0, le=1)]
    schedule: Literal["constant", "linear", "cosine"]
    weight_decay: Annotated[float, Field(ge=0)]
    max_grad_norm: Annotated[float, Field(gt=0)]
    precision: Literal["auto", "bfloat16", "float32"] = Field(description="auto: bfloat16 where the machine has it")
    seed: Natural


class Stage1(Section):
    """Atomic skills by rejection fine-tuning."""

    rollouts: Rollouts
    rft: Rft
    sft: Sft


class Evaluation(Section):
    """Accuracy on held-back problems."""

    rollouts: Rollouts


class RolloutEngine(Section):
    """Which engine makes roll-outs, and how the work is cut. Only ``name``, ``dtype`` and ``shard_size`` can change results."""

    name: str = Field(description="transformers, or package.module:Class of an engine of your own")
    dtype: Literal["auto", "bfloat16", "float32"]
    shard_size: Count = Field(description="problems a shard: one job, one file")
    batch_size: Count = Field(description="sequences decoded at once")
    threads: Count = Field(description="CPU threads a shard; with one, results do not depend on the number of cores")


class Training(Section):
    """How training runs; none of it changes results beyond rounding."""

    threads: Count

    micro_batch_size: Count = Field(description="sequences in memory at once, for each CPU thread or on the GPU")
    save_every: Count = Field(description="optimizer steps between checkpoints to resume from")
    pretraining_save_every: Count = Field(description="the same for the target tiny_base")
    log_every: Count = Field(description="optimizer steps between lines of metrics.jsonl")


class Figures(Section):
    formats: list[Literal["svg", "png", "pdf"]] = Field(min_length=1)
    dpi: Count
    font_size: Annotated[float, Field(gt=0)]


class Use(Section):
    """Files of your own instead of made ones; null: make them."""

    stage1_problems: str | None = Field(description="Parquet file of Stage-1 training problems")
    stage1_rft_data: str | None = Field(description="folder with train.parquet and test.parquet")
    stage1_checkpoint: str | None = Field(description="folder of a Stage-1 model in Hugging Face format")


class TinyBase(Section):
    """Pre-training of the embedded base model."""

    hidden_size: Count
    layers: Count
    heads: Count
    intermediate_size: Count
    steps: Count
    tokens_per_step: Count
    learning_rate: Annotated[float, Field(gt=0)] = Field(description="of AdamW (embeddings, norms)")
    matrix_learning_rate: Annotated[float, Field(gt=0)] = Field(description="of Muon (weight matrices)")
    error_rate: Annotated[float, Field(ge=0, lt=1)] = Field(description="share of steps with a slip, so that the base is fallible")
    seed: Natural


class Config(Section):
    """The whole configuration."""

    run_dir: str = Field(description="folder under which data, checkpoints, results and logs are made")
    base_model: str = Field(description="folder of a model in Hugging Face format, or a name on the hub")
    plain_prompt: bool = Field(description="use the model's chat template without its system text, as the paper does")
    problems: Problems
    datasets: Datasets
    scoring: Scoring
    stage1: Stage1
    evaluation: Evaluation
    rollout_engine: RolloutEngine
    training: Training
    figures: Figures
    use: Use
    tiny_base: TinyBase


def keys(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[str]:
    """Every key that holds a value, dotted."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def read(files: Iterable[str]) -> dict:
    """YAML files merged left to right, as Snakemake merges them: mappings key by key, everything else replaced."""
    merged: dict = {}
    for path in files:
        try:
            with open(path, encoding="utf-8") as file:
                _merge(merged, yaml.safe_load(file) or {})
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None
        except (yaml.YAMLError, AttributeError) as error:
            raise UserError(f"{path}: not a YAML mapping ({error})") from None
    return merged


def _merge(into: dict, overlay: dict) -> None:
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def load(values: dict) -> Config:
    """Checks a merged configuration. Raises UserError with one line an error, ``path: problem; did you mean ...``."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = [_line(item) for item in error.errors()]
        raise UserError("configuration:\n" + "\n".join(f"  {line}" for line in lines)) from None


def _line(item: dict) -> str:
    path = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        *parents, key = item["loc"]
        close = difflib.get_close_matches(str(key), _fields_at(parents), n=1, cutoff=0.5)
        return f"{path}: no such key" + (f"; did you mean {'.'.join([*map(str, parents), close[0]])}?" if close else "")
    if item["type"] == "missing":
        return f"{path}: missing; config/default.yaml has it"
    message = item["msg"].removeprefix("Value error, ")
    close = []
    if item["type"] == "literal_error":
        choices = [choice.strip(" '") for choice in item["ctx"]["expected"].replace(" or ", ", ").split(",")]
        close = difflib.get_close_matches(str(item["input"]), choices, n=1, cutoff=0.5)
    shown = repr(item["input"])
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{path}: {message}" + ("" if item["type"] == "value_error" else f", not {shown[:80]}") + hint


def _fields_at(parents: list) -> list[str]:
    model = Config
    for name in parents:
        field = model.model_fields.get(name) if isinstance(name, str) else None
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        model = field.annotation
    return list(model.model_fields)
