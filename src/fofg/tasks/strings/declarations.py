"""Declarations of string functions: parameter, operands, pool, and the inputs that they change."""

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Literal, NamedTuple, Protocol

#: What an input must have for a function to change it.
Need = Literal["space", "sign", "repeat", "vowel", "odd length"]


class Generator(Protocol):
    """The methods of ``random.Random`` that draw parameters."""

    def randint(self, low: int, high: int) -> int: ...
    def choice(self, options: Sequence[str]) -> str: ...
    def choices(self, options: Sequence[str], *, k: int) -> Sequence[str]: ...


@dataclass(frozen=True)
class Integer:
    """An integer from ``low`` to ``high``; ``multiplies``: the output is that many times as long as the operand."""

    low: int
    high: int
    multiplies: bool = False
    type = int

    def draw(self, generator: Generator) -> int:
        return generator.randint(self.low, self.high)


@dataclass(frozen=True)
class Letters:
    """A string of ``low`` to ``high`` lower-case letters."""

    low: int
    high: int
    type = str

    def draw(self, generator: Generator) -> str:
        return "".join(generator.choices(ascii_lowercase, k=generator.randint(self.low, self.high)))


@dataclass(frozen=True)
class Choice:
    """One of the characters in ``options``."""

    options: str
    type = str

    def draw(self, generator: Generator) -> str:
        return generator.choice(self.options)


Parameter = Integer | Letters | Choice


class Declaration(NamedTuple):
    """What a string function declares.

    ``operands``: number of strings that it takes, before its parameter. ``pool``: its default side of Stage 2. ``needs``: what an
    input must have for the function to change it. ``gloss``: how the embedded model's worked answers describe it.
    """

    function: Callable[..., str]
    parameter: Parameter | None = None
    operands: int = 1
    pool: Literal["train", "test"] | None = None
    needs: Need | None = None
    gloss: str = ""


def source(function: Callable, docstring: bool = False) -> str:
    """Return a function's source without its declaration, from ``def`` on, with or without docstring, no trailing newline."""
    text = re.sub(r"\A.*?^def ", "def ", inspect.getsource(function).rstrip(), flags=re.MULTILINE | re.DOTALL)
    return text if docstring else re.sub(r'\A(def .*:\n) +""".*?"""\n', r"\1", text, flags=re.DOTALL)
