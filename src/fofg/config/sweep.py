"""The grid of a sweep: keys of the configuration and the values that they take, each with a name for folders and tables."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

#: Sections and keys that may be swept: what decides how models are trained, and the sampling of their evaluation.
SWEPT_SECTIONS = ("problems", "datasets", "scoring", "stage0", "stage1", "stage2", "evaluation.rollouts")
_NAME = re.compile(r"[\w+-][\w.+-]*", re.ASCII)


def _named(grid: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return key -> name -> value of a grid with a list of plain values, or a mapping of named ones, per key."""
    return {key: _names(key, values) for key, values in grid.items()}


def _names(key: str, values: Any) -> dict[str, Any]:
    if not any(f"{key}.".startswith(f"{section}.") for section in SWEPT_SECTIONS):
        raise ValueError(f"{key} can't be swept; those of {', '.join(SWEPT_SECTIONS)} can, a run per value does the others")
    if isinstance(values, list):
        if any(isinstance(value, (list, dict)) for value in values):
            raise ValueError(f"{key}: lists and mappings need names for their folders; write {key}: {{few: ..., many: ...}}")
        pairs = [(_text(value), value) for value in values]
    elif isinstance(values, dict):
        pairs = [(str(name), value) for name, value in values.items()]
    else:
        raise ValueError(f"{key}: needs a list of values, or a mapping of names to values, not {values!r}")
    names = [name for name, _ in pairs]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{key}: {'a value occurs twice; name each once' if names else 'no values; list some, or leave it out'}")
    if odd := next((name for name in names if not _NAME.fullmatch(name)), None):
        raise ValueError(f"{key}: {odd!r} is no name for a folder; give values names of letters, digits and _ . + -")
    return dict(pairs)


def _text(value: Any) -> str:
    """Return a plain value's name; one spelling per number, also for 1e-4, which YAML reads as text."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    try:
        return str(value) if isinstance(value, int) else str(float(value))
    except ValueError:
        return str(value)


Grid = Annotated[
    dict[str, Any],
    AfterValidator(_named),
    Field(description="dotted key -> list of values, or mapping of names to values; target sweep runs all combinations"),
]
