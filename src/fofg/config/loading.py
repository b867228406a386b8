"""Load a checked configuration from YAML files, with errors that name the key and the fix."""

import copy
import difflib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import yaml
from pydantic import ValidationError

from fofg.config.root import Config
from fofg.config.stage1 import OLD_SCHEME
from fofg.errors import UserError

#: libyaml's loader where PyYAML has it: ten times faster.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def keys(values: dict, prefix: str = "") -> Iterator[str]:
    """Yield every key of a configuration with a value, dotted; lists and empty mappings are values."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from keys(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def at(values: dict, key: str) -> Any:
    """Return the value of a dotted key. Raises KeyError if there is none."""
    for name in key.split("."):
        values = values[name]
    return values


def read(files: Iterable[str | os.PathLike]) -> dict:
    """Merge YAML files left to right, as Snakemake does: mappings key by key, everything else replaced."""
    merged: dict = {}
    for path in files:
        merge(merged, _mapping(path))
    return merged


def _mapping(path: str | os.PathLike) -> dict:
    """Read one YAML file; empty: no keys. Raises UserError naming the file and the line."""
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
        loader = _LOADER(text)
        node = loader.get_single_node()
        twice = next(_twice(node, "", set()), None)  # before construction, which mixes merged keys with a mapping's own
        values = {} if node is None else loader.construct_document(node)
    except OSError as error:
        hint = "" if Path(path).suffix else "; targets stand before --configfile"
        raise UserError(f"{path}: {error.strerror}{hint}") from None
    except UnicodeDecodeError as error:
        number, byte = error.object.count(b"\n", 0, error.start) + 1, error.object[error.start]
        raise UserError(f"{path}: line {number} is not UTF-8 (byte 0x{byte:02x}); save the file as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UserError(f"{path}: {line}not YAML ({error.problem})") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: not a YAML mapping; write KEY: VALUE")
    if twice:
        key, first, second = twice
        raise UserError(f"{path}: key {key} is given twice, in lines {first} and {second}; keep one of them")
    return values


def _twice(node: yaml.Node | None, prefix: str, visited: set[int]) -> Iterator[tuple[str, int, int]]:
    """Yield keys that a mapping has twice, dotted, with both lines. YAML itself silently keeps the last."""
    if id(node) in visited:
        return  # an alias of a node seen before, or of one that holds it
    visited.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _twice(item, f"{prefix}{number}.", visited)
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue  # merged keys give way to the mapping's own
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                yield prefix + name, lines[name], line
            lines[name] = line
            yield from _twice(value, f"{prefix}{name}.", visited)


def merge(into: dict, overlay: dict) -> None:
    """Merge an overlay into a configuration: mappings key by key, everything else replaced."""
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def merged(values: dict, overlay: dict) -> dict:
    """Return a configuration with an overlay, and leave both as they are."""
    both = copy.deepcopy(values)
    merge(both, copy.deepcopy(overlay))
    return both


def assigned(texts: Iterable[str], option: str = "") -> dict:
    """Merge ``KEY=VALUE`` texts: dotted keys, values in YAML. Raises UserError, beginning with ``option``, for other texts."""
    values: dict = {}
    for text in texts:
        key, equals, written = text.partition("=")
        try:
            if not (all(key.split(".")) and equals):
                raise ValueError("no KEY=")
            value = yaml.safe_load(written)
        except (ValueError, yaml.YAMLError) as error:
            problem = f"{text!r} is not KEY=VALUE with the value in YAML ({' '.join(str(error).split())})"
            raise UserError(f"{option}{problem}; e.g. stage1.sft.epochs=3") from None
        for name in reversed(key.split(".")):
            value = {name: value}
        merge(values, value)
    return values


#: Keys that had another name in an earlier version.
RENAMED = {
    "cluster.most_minutes": "cluster.max_runtime",
    "cluster.save_seconds": "cluster.grace_period",
    "stage2.rft.nothing_kept": "stage2.rft.on_empty_selection",
    "stage2.rl.empty_step": "stage2.rl.on_empty_step",
    "stage2.rl.incomplete_step": "stage2.rl.on_incomplete_step",
    "training.verl.chunked_log_probs": "training.verl.fused_kernels",
}
#: Keys of an earlier version that nothing reads any more.
REMOVED = {"plan.pretraining_tokens_per_second", "plan.bytes_per_token"}


def load(values: dict) -> Config:
    """Check a merged configuration. Raises UserError with one line per error, ``path: problem; did you mean ...``."""
    scoring = values.get("scoring")
    if isinstance(scoring, dict) and scoring.get("scheme") == OLD_SCHEME:
        # Not on stdout, which may be a graph (snakemake --dag) or the configuration itself.
        print("scoring.scheme: paper is now called published_code; the paper's own scheme is binary", file=sys.stderr)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = [_line(item) for item in error.errors()]
        raise UserError("configuration:\n" + "\n".join(f"  {line}" for line in lines)) from None


def _line(item: Mapping[str, Any]) -> str:
    path = ".".join(name for part in item["loc"] if (name := str(part).strip()))
    if path in RENAMED:
        return f"{path}: now called {RENAMED[path]}"
    if path in REMOVED:
        return f"{path}: no longer used; remove it"
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
    """Return the names of a section's keys; none if the path does not lead to a section."""
    model: Any = Config
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
