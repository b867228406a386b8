"""Say in words how two configurations, or the parameters of two runs of a job, differ: dotted keys with old and new values."""

import ast
import json
from collections.abc import Iterable
from typing import Any

#: Stands for the value of a key that one side lacks.
ABSENT = "(none)"
_MAX_CHARACTERS = 60


def flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Return dotted key -> value of nested mappings, and of lists of mappings; other lists and empty mappings are values."""
    if isinstance(values, list) and values and all(isinstance(item, dict) for item in values):
        values = dict(enumerate(values))
    if not (isinstance(values, dict) and values):
        return {prefix.removesuffix("."): values}
    return {key: value for name, item in values.items() for key, value in flat(item, f"{prefix}{name}.").items()}


def differences(old: dict, new: dict) -> dict[str, tuple[Any, Any]]:
    """Return dotted key -> old and new value for every key that differs; a key that one side lacks has the value ``ABSENT``."""
    before, after = flat(old), flat(new)
    pairs = {key: (before.get(key, ABSENT), after.get(key, ABSENT)) for key in {**before, **after}}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def arrow(key: str, old: Any, new: Any) -> str:
    """Return ``key old → new`` with values in JSON, long ones cut."""
    return f"{key} {_short(old)} → {_short(new)}"


def of_parameters(old: Iterable[str], new: Iterable[str]) -> list[str]:
    """Return how the parameters of a job have changed, one ``key old → new`` each.

    ``old``, ``new``: Snakemake's texts of the parameters that only one side has, each a Python literal. Those that are JSON objects
    are specs, and are compared key by key.
    """
    (old_specs, old_others), (new_specs, new_others) = map(_sorted_out, (old, new))
    changes = [arrow(key, *pair) for before in old_specs for after in new_specs for key, pair in differences(before, after).items()]
    if old_others or new_others or not changes:
        changes.append(f"parameters {', '.join(map(_short, old_others))} → {', '.join(map(_short, new_others))}")
    return list(dict.fromkeys(changes))


def _sorted_out(texts: Iterable[str]) -> tuple[list[dict], list[Any]]:
    """Return the specs and the other values among parameters."""
    values = list(map(_value, sorted(texts)))
    return [value for value in values if isinstance(value, dict)], [value for value in values if not isinstance(value, dict)]


def _value(text: str) -> Any:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    try:
        spec = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return value
    return spec if isinstance(spec, dict) else value


def _short(value: Any) -> str:
    text = value if value == ABSENT else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 3]}..."
