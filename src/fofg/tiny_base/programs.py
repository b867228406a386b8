"""Draw random programs for pre-training: inputs, and expressions over any of the library's functions."""

from collections.abc import Iterator, Sequence
from functools import cache
from random import Random
from string import ascii_lowercase, ascii_uppercase, digits

from fofg.tasks.strings import expressions
from fofg.tasks.strings.expressions import METHODS, Leaf, Operation
from fofg.tasks.strings.expressions import Node as Program
from fofg.tiny_base.library import ALL, OTHERS

MOST_CHARACTERS = 40


def apply(operator: str, values: Sequence[str], parameters: tuple[str | int, ...]) -> str:
    """Apply an operator to the values of its operands."""
    if operator in OTHERS:
        return OTHERS[operator](*values, *parameters)
    return expressions.apply(operator, values, parameters)


def operators(program: Program) -> Iterator[str]:
    """Yield the operators in order of evaluation, innermost first."""
    if isinstance(program, Operation):
        for operand in program.operands:
            yield from operators(operand)
        yield program.operator


def random_program(rng: Random, pool: list[str], steps: int, x: str) -> Program:
    """Draw an expression of ``steps`` nested operations, from functions of ``pool``.

    For input ``x``, no value on the path is empty or longer than 40 characters. Operations that leave their operand unchanged are
    mostly avoided.
    """
    program, value = _leaf(rng, 0.1, x)
    for _ in range(steps):
        accepted = False
        while not accepted:
            grown, output = _operation(rng, pool, (program, value), x)
            accepted = 0 < len(output) <= MOST_CHARACTERS and (output != value or rng.random() < 0.1)
        program, value = grown, output
    return program


def _leaf(rng: Random, literal: float, x: str) -> tuple[Program, str]:
    if rng.random() >= literal:
        return Leaf(), x
    value = "".join(rng.choices(ascii_lowercase, k=rng.randint(2, 6)))
    return Leaf(value), value


def _operation(rng: Random, pool: list[str], operand: tuple[Program, str], x: str) -> tuple[Program, str]:
    """Draw an operation on an operand with known value, with a second operand where it needs one; return it and its value."""
    kind = rng.random()
    operator = rng.choice(list(METHODS)) if kind < 0.02 else "+" if kind < 0.08 else rng.choice(pool)
    operands = [operand]
    declared = ALL.get(operator)
    if operator == "+" or (declared and declared.operands == 2):
        other = _leaf(rng, 0.5, x)
        if isinstance(operand[0], Operation) and rng.random() < 0.3:
            other = _operation(rng, pool, other, x)
        operands.insert(rng.randint(0, 1), other)
    parameters = (declared.parameter.draw(rng),) if declared and declared.parameter else ()
    programs, values = zip(*operands)
    return Operation(operator, programs, parameters), apply(operator, values, parameters)


def random_input(rng: Random) -> str:
    """Draw an input of 3 to 20 characters, mostly 3 to 6: letters; some with repeats, capitals, spaces, digits or punctuation."""
    length = rng.choices([rng.randint(3, 6), rng.randint(7, 10), rng.randint(11, 20)], weights=[70, 22, 8])[0]
    kind = rng.random()
    letters = rng.choices(_alphabet(kind < 0.2), k=length)
    if kind < 0.55:
        return "".join(letters)
    if kind < 0.7:
        for i in rng.choices(range(1, length), k=2):
            letters[i] = letters[i - 1]
    elif kind < 0.82:
        for i in rng.choices(range(1, length - 1), k=1 + length // 5):
            letters[i] = " "
    elif kind < 0.92:
        for i in rng.choices(range(length), k=2):
            letters[i] = rng.choice(digits + "-_|.,!?*#")
    elif kind < 0.98:
        letters = [rng.choice((c, c.upper())) for c in letters]
    else:
        letters = rng.choices(ascii_uppercase, k=length)
    return "".join(letters)


@cache
def _alphabet(vowels: bool) -> str:
    return ascii_lowercase + "aeiou" * 3 if vowels else ascii_lowercase
