"""What all sections of the configuration share."""

import difflib
import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from fofg.config.values import as_written, is_null, leaf_types

#: The checkout that this package is part of.
CHECKOUT = Path(__file__).parents[3]
#: The complete default configuration.
DEFAULT = CHECKOUT / "config/default.yaml"

Probability = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(pattern="^[a-z0-9_]+$")]


class Section(BaseModel):
    # A program reads one section; building the validators of all would be a third of its start-up.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    def text(self) -> str:
        """Return the section as canonical JSON."""
        return canonical(self)

    @field_validator("*", mode="before")
    @classmethod
    def _as_written(cls, value: Any, info: ValidationInfo) -> Any:
        return as_written(value, _leaf_types(cls, info.field_name))


def canonical(section: Any = None, **sections: Any) -> str:
    """Return canonical JSON of a section's keys, and of further sections or plain values by name."""
    first = section.model_dump(mode="json") if isinstance(section, BaseModel) else section or {}
    values = {**first, **sections}
    return json.dumps(values, sort_keys=True, separators=(",", ":"), default=lambda model: model.model_dump(mode="json"))


@cache
def _leaf_types(section: type[BaseModel], field: str) -> frozenset[type]:
    return leaf_types(section.model_fields[field].annotation)


def null_removes(entries: Any) -> BeforeValidator:
    """Let null remove an entry that an earlier file gives. ``entries``: the mapping with null, for the schema."""

    def remove(written: Any) -> Any:
        if not isinstance(written, dict):
            return written
        return {name: entry for name, entry in written.items() if not is_null(entry)}

    return BeforeValidator(remove, json_schema_input_type=entries)


def ascending(bounds: tuple[int, int]) -> tuple[int, int]:
    """Check a (lowest, highest) pair."""
    if bounds[0] > bounds[1]:
        raise ValueError(f"the lowest ({bounds[0]}) is more than the highest ({bounds[1]})")
    return bounds


def known(name: str, names: tuple[str, ...], form: str, kind: str = "engine") -> str:
    """Check the name of an engine (or other ``kind``): one of ``names``, or ``form``, which has a colon."""
    if name not in names and ":" not in name:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"no {kind} {name!r}; known: {', '.join(names)}, or {form}{hint}")
    return name


def _trains(name: str) -> str:
    if name == "trl":
        raise ValueError("engine trl is now called torch; set engine: torch")
    return known(name, ("torch", "verl"), "package.module:function")


TrainingEngine = Annotated[
    str,
    AfterValidator(_trains),
    Field(description="torch: CPU or one GPU; verl: GPUs of one or several nodes; or package.module:function of your own"),
]
Beta = Annotated[float, Field(ge=0, lt=1)]
Betas = Annotated[tuple[Beta, Beta], Field(description="AdamW's decay rates of the gradient's running mean and mean square")]
#: What decides which answers are correct; only RL depends on the rewards as well.
AnswerRule = Literal["published", "lenient"]
#: What a prompt shows of a task's hints: nothing, what Stage 1 shows, or that with explanations.
Hints = bool | Literal["explained"]
LossAggMode = Annotated[
    Literal["token-mean", "seq-mean-token-mean"],
    Field(description="token-mean: mean over all tokens of an update; seq-mean-token-mean: mean over the sequences' own means"),
]
Levels = Annotated[tuple[Count, Count], AfterValidator(ascending), Field(description="lowest and highest")]
