"""Read the steps of a response from prose, lists, tables, arrows, equations and code (paper §4.5).

func_5("abc", "pre") adds a prefix -> "preabc"
Applying func_17 to 'ab' gives 'ba', so func_3(func_17('ab')) = func_3('ba') = 'ab'.
y = func_17(x)  # "ba"

Nothing is evaluated, no text raises, and time is linear in the text.
"""

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from fofg.tasks.strings.failures_calls import Token, Value, WrittenCall, arguments, is_value, items, joined, kind, operation


class NamedStep(NamedTuple):
    """One operation that a response names.

    ``operator``: ``func_N``, ``+``, ``.upper`` and the like, or "" where a broken line lost the name. ``arguments``: None for each
    without a value, None as a whole if there is no value. ``output``: None without a result. ``in_words``: the arguments are the
    strings that prose mentions, in any order and maybe not all.
    """

    operator: str
    arguments: tuple[str | int | None, ...] | None
    output: str | None
    in_words: bool = False

    @property
    def complete(self) -> bool:
        """Return whether the result and, unless in words, all arguments are given."""
        return self.output is not None and (self.in_words or (self.arguments is not None and None not in self.arguments))


#: Words that stand before a result, and what may stand between.
_VERB = re.compile(
    r"returns?|giv(?:es?|ing)|yield(?:s|ing)?|produc(?:es?|ing)|becomes?|is|s|are|equals|outputs?|results?|evaluates"
)
_FILLER = re.compile(r"in|to|into|the|an?|us|me|as|now|string")
#: Lines that restate the program.
_PROGRAM = re.compile(r"\s*(?:def|return)\b")
_LATEX = re.compile(r"\\(?:text|texttt|textbf|mathrm|mathtt|operatorname)\{([^{}]*+)\}")
#: A word without quotes that ends a clause.
_LONE_WORD = re.compile(r"[\s`*$]*([^\s\"'()\[\]{},;$`*|]+?)[`*]*(?:\.?\s*$|\.\s|[,;$|])")


def read_steps(response: str, x: str) -> list[NamedStep]:
    """Return the operations that a response names before its answer, in order; ``x`` is the program's input."""
    return [step for _, step in steps_by_line(response, x)]


def steps_by_line(response: str, x: str) -> list[tuple[int, NamedStep]]:
    """Return the same with the number of the line, from 0, where each operation begins."""
    reader = _StepReader(x)
    for number, line in enumerate(_reasoning(response).split("\n")):
        first = len(reader.named)
        reader.read(line)
        for call in reader.named[first:]:
            call.line = number
    results: dict[tuple, str] = {}
    steps = list(_Results(results).of_all(reader.named))
    if all(None not in (step.arguments or ()) for _, step in steps):
        return steps
    return list(_Results(results).of_all(reader.named))  # a result may be stated after its use


def _reasoning(response: str) -> str:
    """Return what comes before the answer, without LaTeX markup."""
    answer = response.rfind('"output"')
    text = response[:answer] if answer >= 0 else response
    return _LATEX.sub(r"\1", text.replace("\\_", "_")) if "\\" in text else text


class _StepReader:
    """Reads line by line. ``named``: operations so far. ``_open``: equal calls of the last statement, still without a result."""

    def __init__(self, x: str):
        self.named: list[WrittenCall] = []
        self._variables: dict[str, Value] = {"x": x}
        self._open: list[WrittenCall] = []

    def read(self, line: str) -> None:
        relevant = self._open or "func_" in line or '"' in line or "=" in line
        if not relevant or _PROGRAM.match(line):
            return
        parts = items(line, self._variables)
        if "=" in line:
            parts = self._assigned(parts)
        if not self._open and parts and kind(parts[0]) == "mark":
            del parts[0]
        starts = [index for index in range(len(parts)) if _is_subject(parts, index)]
        first = starts[0] if starts else len(parts)
        if not self._unnamed(parts[:first]) and self._open:
            self._continue(parts[:first])
        for start, stop in zip(starts, [*starts[1:], len(parts)]):
            self._statement(parts, start, stop, line)

    def _assigned(self, parts: list) -> list:
        """Record every ``name = value``. Drop those that only repeat the input."""
        remaining: list = []
        index = 0
        while index < len(parts):
            name, mark, value = (*parts[index : index + 3], None, None)[:3]
            if kind(name) == "word" and kind(mark) == "mark" and mark.text == "=" and is_value(value):
                bound = self._variables.get(name.text)
                if isinstance(bound, WrittenCall) and isinstance(value, str):
                    bound.output = bound.output or value
                else:
                    self._variables[name.text] = value
                if name.text == "x":
                    index += 3
                    continue
            remaining.append(name)
            index += 1
        return remaining

    def _statement(self, parts: list, start: int, stop: int, line: str) -> None:
        """Read the result of the subject at ``start``; ``line``: the text around it."""
        subject, rest = parts[start], parts[start + 1 : stop]
        if isinstance(subject, Token):
            self.named += _mentioned(subject.text, parts[max(0, start - 2) : start], rest)
            self._open = []
            return
        self._open = [subject]
        self.named.append(subject)
        rest = self._equation(rest)
        if self._open:
            self._conclude(_after_verb(rest) or _after_mark(rest) or _last_string(rest, subject) or _unquoted(rest, line))
        if subject.operator == "+":
            self._open = []

    def _continue(self, parts: list) -> None:
        """Read the rest of a statement that began on an earlier line."""
        rest = self._equation(parts)
        if self._open:
            self._conclude(_after_verb(rest) or _after_mark(rest))

    def _equation(self, parts: list) -> list:
        """Read ``= value = value ...``, whose calls share one result; return what follows."""
        index, result = 0, None
        while index + 1 < len(parts) and kind(parts[index]) == "mark" and is_value(parts[index + 1]):
            result = parts[index + 1]
            if isinstance(result, WrittenCall) and result.operator == self._open[-1].operator:
                _rewrite(self._open[-1], result)
                self._open.append(result)
                self.named.append(result)
            index += 2
        self._conclude(result.joined if isinstance(result, WrittenCall) else result)
        return parts[index:]

    def _conclude(self, output: str | None) -> None:
        if output is not None:
            for equal in self._open:
                equal.output = output
            self._open = []

    def _unnamed(self, parts: list) -> bool:
        """Read ``"abc", "pre") adds a prefix -> "preabc"``, a call whose beginning is lost; return whether there is one."""
        content = list(takewhile(lambda item: kind(item) != ")", parts))
        output = _after_mark(parts[len(content) :])
        is_call = bool(content) and output is not None and all(is_value(item) or kind(item) == "," for item in content)
        if is_call:
            self.named.append(operation("", arguments(content), output))
            self._open = []
        return is_call


def _is_subject(parts: list, index: int) -> bool:
    """Return whether a statement begins at ``index``: with a function's name, or with a call that is not the result of another.

    A join or a method call begins one only at the line's start or before its result.
    """
    item = parts[index]
    if kind(item) == "function":
        return True
    if not isinstance(item, WrittenCall):
        return False
    if index and kind(parts[index - 1]) == "mark" and (index == 1 or isinstance(parts[index - 2], WrittenCall)):
        return False
    before_result = index + 1 < len(parts) and kind(parts[index + 1]) == "mark"
    return item.operator.startswith("func_") or index == 0 or before_result


def _mentioned(function: str, before: list, rest: list) -> list[WrittenCall]:
    """Read a function named in prose, without brackets; its arguments and result are among the strings around it."""
    strings = [item for item in rest if isinstance(item, str)]
    if not strings or (len(strings) == 1 and not _stands_as_result(rest, rest.index(strings[0]))):
        return []
    output = _after_mark(rest, ("mark",)) or strings[-1]
    mentioned = strings[: strings.index(output)]
    if len(before) > 1 and kind(before[-1]) == "mark" and isinstance(before[-2], str):
        mentioned.insert(0, before[-2])
    return [WrittenCall(function, mentioned or None, output, in_words=True)]


def _stands_as_result(parts: list, index: int) -> bool:
    while index and kind(parts[index - 1]) == "word" and _FILLER.fullmatch(parts[index - 1].text):
        index -= 1
    before = parts[index - 1] if index else None
    return kind(before) in ("mark", ":") or (
        isinstance(before, Token) and before.kind == "word" and _VERB.fullmatch(before.text) is not None
    )


def _after_verb(parts: list) -> str | None:
    """Return the first string, if a verb like "gives" comes before it."""
    announced = False
    for item in parts:
        if not isinstance(item, Token):
            return item if announced and isinstance(item, str) else None
        announced = announced or (item.kind == "word" and _VERB.fullmatch(item.text) is not None)
    return None


def _after_mark(parts: list, marks: tuple[str, ...] = ("mark", ":")) -> str | None:
    """Return the last string right after an arrow, an equals sign or a colon."""
    for index in range(len(parts) - 1, 0, -1):
        if isinstance(parts[index], str) and kind(parts[index - 1]) in marks:
            return parts[index]
    return None


def _last_string(parts: list, subject: WrittenCall) -> str | None:
    strings = [item for item in parts if isinstance(item, str)]
    return strings[-1] if strings and subject.operator != "+" else None


def _unquoted(parts: list, line: str) -> str | None:
    """Return the single word after the last arrow or equals sign of a statement."""
    marks = [item for item in parts if kind(item) == "mark"]
    match = _LONE_WORD.match(line, marks[-1].end) if marks else None
    return match[1] if match else None


def _rewrite(before: WrittenCall, after: WrittenCall) -> None:
    """Learn from ``f(g("a")) = f("b")`` that ``g("a")`` is "b", at any depth."""
    deeper: tuple[WrittenCall, WrittenCall] | None = (before, after)
    while deeper:
        pairs, deeper = zip(deeper[0].arguments or (), deeper[1].arguments or ()), None
        for old, new in pairs:
            if isinstance(old, WrittenCall) and isinstance(new, str):
                old.output = new
            elif isinstance(old, WrittenCall) and isinstance(new, WrittenCall) and old.operator == new.operator:
                deeper = old, new


class _Results:
    """Results of operations; ``results``: (operator, arguments) -> the last stated result, updated while reading."""

    def __init__(self, results: dict[tuple, str]):
        self._results = results
        self._known: dict[int, tuple[tuple | None, str | None]] = {}

    def of_all(self, named: list[WrittenCall]) -> Iterator[tuple[int, NamedStep]]:
        """Yield operations with a result or all arguments, and the calls inside those with a result; before each, its line."""
        for call in named:
            values, _ = self._of(call)
            if call.output is not None:
                for inner in call.arguments or ():
                    if isinstance(inner, WrittenCall) and inner.operator != "+":
                        operands, output = self._of(inner)
                        if operands is not None and None not in operands:
                            yield call.line, NamedStep(inner.operator, operands, output)
            if call.output is not None or (call.operator.startswith("func_") and values is not None and None not in values):
                yield call.line, NamedStep(call.operator, values, call.output, call.in_words)

    def _of(self, call: WrittenCall) -> tuple[tuple | None, str | None]:
        """Return the values of the arguments, and the result. Recursion is limited: nesting is at most MAX_NESTED."""
        if id(call) not in self._known:
            values = None
            if call.arguments is not None:
                values = tuple(self._of(item)[1] if isinstance(item, WrittenCall) else item for item in call.arguments)
            output = call.output
            if output is not None:
                self._results[call.operator, values] = output
            else:
                output = (
                    joined(values) if call.operator == "+" and values is not None else self._results.get((call.operator, values))
                )
            self._known[id(call)] = values, output
        return self._known[id(call)]
