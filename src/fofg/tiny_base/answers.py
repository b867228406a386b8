"""Worked answers: a line per call, innermost first, then the result as JSON; optionally with slips.

func_5("abc", "pre") adds a prefix -> "preabc"
{"output": "preabc"}
"""

import json
from collections.abc import Collection
from functools import cache
from random import Random
from string import ascii_lowercase

from fofg.tasks.strings.expressions import Leaf, Operation
from fofg.tasks.strings.expressions import Node as Program
from fofg.tiny_base.library import ALL, GLOSSES
from fofg.tiny_base.programs import apply

#: Kinds of slips in a step, and how often each is among them.
SLIPS = {"misread": 0.3, "miswritten": 0.4, "confused": 0.2, "skipped": 0.1}
#: Slips in the closing JSON, as a share of the steps' error rate.
BROKEN_JSON = 0.1


def quote(text: str) -> str:
    """Quote a string as prompts and answers do."""
    return json.dumps(text, ensure_ascii=False)


def answer(
    program: Program, x: str, names: dict[str, str], rng: Random, error_rate: float = 0.0, skipped: Collection[int] = ()
) -> str:
    """Return the worked answer for input ``x``; ``names``: readable name -> shown name.

    Each step has a slip with probability ``error_rate``, and later steps build on its result. Steps whose position (in order of
    evaluation) is in ``skipped`` are left out: their first operand replaces their result.
    """
    work = _Work(x, names, rng, error_rate, skipped)
    output = work.value(program)
    return "".join(line + "\n" for line in work.lines) + work.conclusion(output)


class _Work:
    def __init__(self, x: str, names: dict[str, str], rng: Random, error_rate: float, skipped: Collection[int]):
        self.x, self.names, self.rng, self.error_rate, self.skipped = x, names, rng, error_rate, skipped
        self.lines: list[str] = []
        self.position = 0

    def value(self, program: Program) -> str:
        """Work out an expression, add its lines, and return its value, right or wrong."""
        if isinstance(program, Leaf):
            return self.x if program.literal is None else program.literal
        values = [self.value(operand) for operand in program.operands]
        position, self.position = self.position, self.position + 1
        slip = self._slip()
        if position in self.skipped or slip == "skipped":
            return values[0]
        if slip == "misread":
            values[0] = misspell(values[0], self.rng)
        operator = self._mistaken(program) if slip == "confused" else program.operator
        output = apply(operator, values, program.parameters)
        if slip == "miswritten":
            output = misspell(output, self.rng)
        self.lines.append(f"{self._shown(program, values)} {GLOSSES[operator]} -> {quote(output)}")
        return output

    def conclusion(self, output: str) -> str:
        """Return the closing JSON, rarely broken."""
        broken = self.rng.random() < self.error_rate * BROKEN_JSON
        return '{"output": ' + quote(output) + (self.rng.choice(["", "]", ")"]) if broken else "}")

    def _slip(self) -> str | None:
        if self.rng.random() >= self.error_rate:
            return None
        return self.rng.choices(list(SLIPS), weights=list(SLIPS.values()))[0]

    def _shown(self, program: Operation, values: list[str]) -> str:
        if program.operator == "+":
            return " + ".join(map(quote, values))
        if program.operator.startswith("."):
            return f"{quote(values[0])}{program.operator}()"
        parameters = [quote(value) if isinstance(value, str) else str(value) for value in program.parameters]
        return f"{self.names[program.operator]}({', '.join([*map(quote, values), *parameters])})"

    def _mistaken(self, program: Operation) -> str:
        """Draw another operator that takes the same arguments."""
        if program.operator.startswith("."):
            return self.rng.choice([name for name in GLOSSES if name.startswith(".") and name != program.operator])
        kinds = [type(parameter) for parameter in program.parameters]
        alike = _alike(len(program.operands), *kinds)  # type: ignore[arg-type]  # to mypy a class is not Hashable
        return self.rng.choice([name for name in alike if name != program.operator])


@cache
def _alike(operands: int, parameter: type | None = None) -> list[str]:
    """Return the functions with this number of string operands and this type of parameter."""
    return [
        name
        for name, declared in ALL.items()
        if declared.operands == operands and (declared.parameter.type if declared.parameter else None) is parameter
    ]


def misspell(text: str, rng: Random) -> str:
    """Change one character of a text: replace, drop or double it, or swap it with its neighbor. Never return the text itself."""
    if not text:
        return rng.choice(ascii_lowercase)
    i = rng.randrange(len(text))
    kind = rng.choice(["wrong", "dropped", "doubled", "swapped"])
    if kind == "swapped" and i + 1 < len(text) and text[i] != text[i + 1]:
        return text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    if kind == "dropped":
        return text[:i] + text[i + 1 :]
    if kind == "doubled":
        return text[: i + 1] + text[i:]
    return text[:i] + rng.choice([c for c in ascii_lowercase if c != text[i]]) + text[i + 1 :]
