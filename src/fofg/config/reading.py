"""From YAML files to a checked configuration, with errors that name the key and the cure."""

import difflib
from collections.abc import Iterable, Iterator
from typing import Annotated, get_args, get_origin

import yaml
from pydantic import ValidationError

from fofg.config.whole import Config
from fofg.errors import UserError


def keys(values: dict, prefix: str = "") -> Iterator[str]:
    """Every key of a configuration that holds a value, dotted; lists and empty mappings are values."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from keys(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def read(files: Iterable[str]) -> dict:
    """YAML files merged left to right, as Snakemake merges them: mappings key by key, everything else replaced."""
    merged: dict = {}
    for path in files:
        try:
            with open(path, encoding="utf-8") as file:
                merge(merged, yaml.safe_load(file) or {})
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None
        except (yaml.YAMLError, AttributeError) as error:
            raise UserError(f"{path}: not a YAML mapping ({error})") from None
    return merged


def merge(into: dict, overlay: dict) -> None:
    """Puts the overlay's keys into a configuration: mappings key by key, everything else replaced."""
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
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
        return f"{path}: missing"
    message = item["msg"].removeprefix("Value error, ")
    if not path:
        return message
    close = []
    if item["type"] == "literal_error":
        choices = [choice.strip(" '") for choice in item["ctx"]["expected"].replace(" or ", ", ").split(",")]
        close = difflib.get_close_matches(str(item["input"]), choices, n=1, cutoff=0.5)
    shown = repr(item["input"])
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{path}: {message}" + ("" if item["type"] == "value_error" else f", not {shown[:80]}") + hint


def _fields_at(parents: list) -> list[str]:
    """Names of the keys of a section; none if the path leads to no section."""
    model = Config
    for name in parents:
        if get_origin(model) in (dict, list):
            model = get_args(model)[-1]
        elif name in getattr(model, "model_fields", {}):
            model = model.model_fields[name].annotation
        else:
            return []
        if get_origin(model) is Annotated:
            model = get_args(model)[0]
    return list(getattr(model, "model_fields", {}))
