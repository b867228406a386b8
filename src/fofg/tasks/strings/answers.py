r"""Find the answer in a response, as the published reward function does (paper §3.3).

The text's object is the content of the last ``json`` fence, or without a fence the last ``{...}`` that closes all open braces.
Where it is no JSON object, the same is tried with ``\{`` and ``\}`` unescaped and round brackets made square, then within the last
``\boxed{...}``. The first that is a JSON object decides; the answer is its ``output``. The public code's quirks are kept: a fence
that is not closed loses its last character, a box ends at the text's last ``}``, and ``True``, ``False``, ``None`` are replaced
inside strings too. Time is linear in the text, which is only ever parsed, never evaluated; no text raises.
"""

import re
from collections import deque
from enum import Enum
from json import JSONDecoder
from typing import Any

from fofg.errors import UserError
from fofg.tasks.task import AnswerRule
from fofg.tasks.thinking import final_answer


class NoAnswer(Enum):
    NO_ANSWER = "no answer"


#: What find_answer returns for a text without an answer; ``None`` is an answer (JSON's null).
NO_ANSWER = NoAnswer.NO_ANSWER

_FENCE = "```json"
_BOX = "\\boxed{"
_WHITESPACE = " \t\r\n"
#: Python reads any integer of up to this many digits, whatever its limit is set to.
_DIGITS = 640
_LITERALS = {"True": "true", "False": "false", "None": "null"}
_OBJECT_START = re.compile(r'\{\s*"')
#: The lenient rule tries the last objects of a text, up to this many: each may cost the rest of the text.
_LENIENT_TRIES = 64


def find_answer(text: str, rule: AnswerRule = "published") -> Any:
    """Return the answer in a response: any JSON value (an integer of over 640 digits as a float), or NO_ANSWER.

    ``lenient`` reads only what follows the last ``</think>``, since a draft is not an answer; after a ``<think>`` that is never
    closed there is nothing. If the published rule finds no answer there, the ``output`` of the last readable object anywhere
    counts, so a stray brace or an unfinished fence before it does no harm. Raises UserError for an unknown rule.
    """
    if rule != "published" and rule != "lenient":
        raise UserError(f"answer_rule: no rule {rule!r}; use published or lenient")
    if rule == "lenient":
        text = final_answer(text)
    if "{" not in text:
        return NO_ANSWER
    result = _published(text)
    if rule == "lenient" and (result is None or "output" not in result):
        result = _last_readable(text) or _last_readable(_without_markup(text))
    return NO_ANSWER if result is None else result.get("output", NO_ANSWER)


def last_object(text: str) -> str:
    """Return the last ``{...}`` that closes all open braces, or "". A stray ``}`` is ignored; quotes have no meaning."""
    result = ""
    start = text.find("{")
    while start >= 0:
        end = _closing(text, start)
        if end < 0:
            break
        result = text[start : end + 1]
        start = text.find("{", end + 1)
    return result


def _closing(text: str, start: int) -> int:
    """Return the index of the brace that closes the one at ``start``, or -1."""
    depth = 0
    while (close := text.find("}", start)) >= 0:
        depth += text.count("{", start, close) - 1
        if not depth:
            return close
        start = close + 1
    return -1


def _published(text: str) -> dict | None:
    result = _object(_source(text))
    if result is None:
        plain = _without_markup(text)
        result = _object(_source(plain)) if plain != text else None
        if result is None:
            result = _object(_source(_boxed(plain)))
    return result


def _source(text: str) -> str:
    """Return the text that the published rule parses; after an unclosed last fence, all but the last character."""
    fence = text.rfind(_FENCE)
    if fence < 0:
        return last_object(text)
    start = fence + len(_FENCE)
    return text[start : text.find("```", start)]


def _boxed(text: str) -> str:
    box = text.rfind(_BOX)
    return text[box + len(_BOX) : text.rfind("}")].replace("\\left", "").replace("\\right", "") if box >= 0 else ""


def _without_markup(text: str) -> str:
    return text.replace("\\{", "{").replace("\\}", "}").replace("(", "[").replace(")", "]")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)


_decode = JSONDecoder(parse_int=_integer).raw_decode


def _object(text: str) -> dict | None:
    """Parse a text as one JSON object, without newlines and if need be with Python's literals replaced; None if it fails."""
    text = text.replace("\n", "").strip(_WHITESPACE)
    if not text.startswith("{"):
        return None
    decoded = _decode_at(text, 0)
    if decoded is None and any(literal in text for literal in _LITERALS):
        for python, json in _LITERALS.items():
            text = text.replace(python, json)
        decoded = _decode_at(text, 0)
    return decoded[0] if decoded is not None and decoded[1] == len(text) else None


def _decode_at(text: str, start: int) -> tuple[dict, int] | None:
    """Return the JSON object at ``start`` and the index after it, or None."""
    try:
        return _decode(text, start)
    except (ValueError, RecursionError):
        return None


def _last_readable(text: str) -> dict | None:
    """Return the last JSON object with an ``output`` that is not inside another, anywhere in the text."""
    text = text.replace("\n", "")
    result, end = None, 0
    for start in deque((match.start() for match in _OBJECT_START.finditer(text)), maxlen=_LENIENT_TRIES):
        if start >= end and (decoded := _decode_at(text, start)) is not None:
            value, end = decoded
            if "output" in value:
                result = value
    return result
