"""Read a line of a response as tokens, values and calls (paper §4.5), in one linear pass with a stack."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fofg.tasks.strings.expressions import METHODS


class Token(NamedTuple):
    """``kind``: string, method, function, integer, word, mark (an arrow or equals sign), or the sign itself."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(eq=False)
class WrittenCall:
    """``func_N(...)``, ``left + right`` or ``value.upper()`` as a response writes it.

    ``operator``: ``func_N``, ``+``, ``.upper``, or "" where the name is lost. ``arguments``: None for one that can't be read, None
    as a whole if there are none. ``output``: its stated result. ``joined``: a join of strings as one string, unless it is too long.
    ``in_words``: named in prose, without brackets. ``line``: the number of its line.
    """

    operator: str
    arguments: "Sequence[Value | int | None] | None"
    output: str | None = None
    joined: str | None = None
    in_words: bool = False
    nested: int = 1
    line: int = 0


Value = str | WrittenCall
#: Limits on the nesting of calls and on the characters of a join; what exceeds them is left out.
MAX_NESTED = 50
LONGEST_JOIN = 1 << 13

_TOKEN = re.compile(
    rf"""
      (?P<escaped>\\.)
    | "(?P<double>(?:[^"\\]++|\\.)*+)"
    | (?<!\w)'(?P<single>[^']*+)'(?!\w)
    | “(?P<curly>[^“”]*+)”
    | ‘(?P<angled>[^‘’]*+)’
    | (?P<method>(?:{"|".join(map(re.escape, METHODS))})\(\))
    | (?P<function>\bfunc_\d{{1,4}}\b)
    | (?P<integer>(?<![\w.])-?\d{{1,9}}(?![\w.]))
    | (?P<word>\w++)
    | (?P<mark>->|=>|==?|[→⇒⟶➜↦⟹])
    | (?P<sign>[()+,:])
    """,
    re.VERBOSE,
)
_QUOTED = ("double", "single", "curly", "angled")
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/]))')


def kind(item) -> str:
    """Return the kind of a token; "" for anything else."""
    return item.kind if isinstance(item, Token) else ""


def is_value(item) -> bool:
    return isinstance(item, str | WrittenCall)


def items(line: str, variables: Mapping[str, Value]) -> list[Token | Value]:
    """Split a line into tokens and values. In arguments, variables are replaced by their values; other words are strings.

    A call that is never closed, or whose name is not that of a string function, is left out.
    """
    base: list = []
    frames: list[tuple[str, list]] = []
    previous = None
    for token in _tokens(line):
        into = frames[-1][1] if frames else base
        if token.kind == "(":
            frames.append((_caller(token, previous, into) if len(frames) < MAX_NESTED else "?", []))
        elif token.kind == ")" and frames:
            caller, content = frames.pop()
            _close(caller, content, frames[-1][1] if frames else base)
        elif token.kind == "method":
            if into and is_value(into[-1]):
                into[-1] = operation(token.text[:-2], [into[-1]])
        elif token.kind == "string":
            _put(into, token.text)
        elif frames and token.kind in ("word", "integer"):
            _put(into, int(token.text) if token.kind == "integer" else variables.get(token.text, token.text))
        else:
            into.append(token)
        previous = token
    for caller, content in frames:
        if caller == "(":
            base.extend(content)
    return base


def operation(operator: str, arguments: list, output: str | None = None) -> WrittenCall:
    """Build an operation, without arguments that are nested too deep."""
    depths = [argument.nested if isinstance(argument, WrittenCall) else 0 for argument in arguments]
    shallow = [None if depth >= MAX_NESTED else argument for argument, depth in zip(arguments, depths)]
    nested = 1 + max((depth for depth in depths if depth < MAX_NESTED), default=0)
    join = [part.joined if isinstance(part, WrittenCall) else part for part in shallow] if operator == "+" else [None]
    return WrittenCall(operator, shallow, output, joined(join), nested=nested)


def joined(parts: Sequence) -> str | None:
    """Join strings; return None if one is not a string, or the result is too long."""
    return "".join(parts) if all(isinstance(part, str) for part in parts) and sum(map(len, parts)) <= LONGEST_JOIN else None


def arguments(content: list) -> list:
    """Return the values between commas (the value of ``name=value``), None for anything else."""
    values, latest = [], []
    for item in [*content, None]:
        if item is not None and kind(item) != ",":
            latest.append(item)
        elif latest:
            known = not isinstance(latest[-1], Token) and (len(latest) == 1 or kind(latest[-2]) == "mark")
            values.append(latest[-1] if known else None)
            latest = []
    return values


def _tokens(line: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(line):
        group = match.lastgroup or ""  # never "": every alternative has a name
        if group in _QUOTED and "func_" in match[group]:
            yield from _tokens(_unescaped(match[group]))
        elif group in _QUOTED:
            yield Token("string", _unescaped(match[group]), *match.span())
        elif group != "escaped":
            yield Token(match[0] if group == "sign" else group, match[0], *match.span())


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else match[2], text) if "\\" in text else text


def _caller(bracket: Token, previous: Token | None, into: list) -> str:
    """Remove the name before a bracket, and return it if it is a function's; "?" for another word; "(" without a name."""
    if previous is None or previous.kind not in ("function", "word") or previous.end != bracket.start:
        return "("
    into.pop()
    return previous.text if previous.kind == "function" else "?"


def _close(caller: str, content: list, into: list) -> None:
    if caller == "(" and not (len(content) == 1 and is_value(content[0])):
        into.extend(content)
    elif caller != "?":
        _put(into, content[0] if caller == "(" else operation(caller, arguments(content)))


def _put(into: list, value: Value | int) -> None:
    """Append a value; merge ``left + right`` into one."""
    if len(into) > 1 and kind(into[-1]) == "+" and is_value(into[-2]) and is_value(value):
        into[-2:] = [operation("+", [into[-2], value])]
    else:
        into.append(value)
