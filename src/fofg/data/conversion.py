"""Convert columns that others wrote: Arrow types of the same meaning, fields in any order, JSON text for lists and structs."""

import json
import re
from typing import Any

import pyarrow as pa

from fofg.data.schemas import JSON_FIELDS, MESSAGES


class Unreadable(ValueError):
    """A value can't be understood. ``row``: its number in the column."""

    def __init__(self, row: int, reason: str):
        super().__init__(reason)
        self.row = row


def convert(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return a column as the given type. Fields that it lacks are null, fields that the type lacks are left out.

    Raises Unreadable for the first value that does not fit.
    """
    if column.type.equals(kind):
        return column
    try:
        return column.cast(kind)  # other widths and layouts, without a loss; fields by name
    except pa.ArrowException:
        pass
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:
        raise Unreadable(0, "a text is not UTF-8") from None
    return from_values(values, kind)


def from_values(values: list, kind: pa.DataType) -> pa.Array:
    """Return Python values as a column of the given type. Raises as ``convert``."""
    results = []
    for row, value in enumerate(values):
        try:
            results.append(_value(value, kind))
        except (ValueError, TypeError, RecursionError) as error:
            raise Unreadable(row, str(error) or "nested too deep") from None
    return pa.array(results, kind)


def _value(value: Any, kind: pa.DataType, name: str = "") -> Any:
    if value is None:
        return None
    if pa.types.is_struct(kind):
        fields = dict(_parsed(value, dict, list))  # a list: the pairs of a map
        return {field.name: _value(fields.get(field.name), field.type, field.name) for field in kind}
    if pa.types.is_list(kind):
        if kind.equals(MESSAGES) and isinstance(value, str):
            value = _messages(value)
        return [_value(item, kind.value_type) for item in _parsed(value, list)]
    if pa.types.is_integer(kind):
        return _integer(value, kind)
    if pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return _plain(value, kind)
    if name in JSON_FIELDS and isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return _text(value)


def _parsed(value: Any, *types: type) -> Any:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise ValueError(f"not JSON ({error})") from None
    if not isinstance(value, types):
        raise ValueError(f"{str(value)[:80]!r} is no {'list' if types == (list,) else 'JSON object'}")
    return value


def _messages(text: str) -> list:
    """Return a prompt's messages from their JSON, or any other text as a user's message."""
    try:
        messages = json.loads(text) if text.lstrip().startswith("[") else []
    except (ValueError, RecursionError):
        messages = []
    if messages and all(isinstance(message, dict) and message.keys() >= {"role", "content"} for message in messages):
        return messages
    return [{"role": "user", "content": text}]


def _integer(value: Any, kind: pa.DataType) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,20}", value, re.ASCII):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{str(value)[:80]!r} is no whole number")
    if value.bit_length() >= kind.bit_width:
        raise ValueError(f"{str(value)[:80]} is too large a number")
    return value


def _plain(value: Any, kind: pa.DataType) -> float | bool:
    types, name = (bool, "true or false") if pa.types.is_boolean(kind) else (int | float, "number")
    if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
        raise ValueError(f"{str(value)[:80]!r} is no {name}")
    return value


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode()
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:80]!r} is no text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("a text is not valid Unicode") from None
    return value
