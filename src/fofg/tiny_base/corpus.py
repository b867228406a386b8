"""The corpus of pre-training: conversations about short programs, in the wording of the configured prompt.

Every problem shows the definitions of the functions that it uses, under new names for each conversation. Late in training,
some conversations hide them; those use only the 20 other functions, under their fixed names. So the model never sees one of the
paper's 25 functions without its definition. Whether it sees them in nested calls is a setting, ``nested_calls``.
"""

from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Literal, NamedTuple

from fofg.tasks.strings import prompts
from fofg.tasks.strings.expressions import text
from fofg.tiny_base.answers import answer
from fofg.tiny_base.library import ALL, NAMES, OTHERS, body
from fofg.tiny_base.programs import Program, operators, random_input, random_program

#: Share of nested expressions, of conversations with several problems, and (late) of those with hidden definitions.
NESTED, SEVERAL_TURNS, HIDDEN = 0.5, 0.35, 0.35
MOST_TURNS = 5
DEEPEST = 6
#: Probability that a nested problem is worked step by step: early; late with two steps; and late, by each step more.
STEPWISE, LATE_STEPWISE, LATE_STEPWISE_MORE = 0.8, 0.06, 0.6
#: Functions of nested calls: all, the 20 others, or no nested calls at all.
NestedCalls = Literal["all", "others", "none"]
_ORDER = {function: i for i, function in enumerate(ALL)}


class Turn(NamedTuple):
    """One problem of a conversation: the user's prompt and the answer."""

    prompt: str
    response: str


def conversation(template: str, rng: Random, late: bool, error_rate: float, nested_calls: NestedCalls = "all") -> list[Turn]:
    """Draw one document: 1 to 5 problems. ``late``: the mixture of the last phase, with slips at ``error_rate``."""
    names = _new_names(rng)
    count = rng.randint(2, MOST_TURNS) if rng.random() < SEVERAL_TURNS else 1
    if late and rng.random() < HIDDEN:
        return [_hidden(template, rng, error_rate, nested_calls) for _ in range(count)]
    return [_visible(template, rng, late, error_rate, nested_calls, names) for _ in range(count)]


def worked_examples(template: str, single: list[str], levels: tuple[int, int], rng: Random) -> Iterator[Turn]:
    """Yield problems without end, worked step by step and without slips; definitions are visible, under new names in each.

    ``single``: readable names of the functions in problems of one step; longer ones have the 20 others. ``levels``: fewest and
    most steps.
    """
    while True:
        names, x = _new_names(rng), random_input(rng)
        steps = rng.randint(*levels)
        prompt, program = _shown(template, rng, single if steps == 1 else list(OTHERS), steps, x, names)
        yield Turn(prompt, answer(program, x, names, rng))


def _new_names(rng: Random) -> dict[str, str]:
    """Return readable name -> ``func_N``, drawn."""
    return dict(zip(ALL, rng.sample(list(NAMES.values()), len(NAMES))))


def _visible(template: str, rng: Random, late: bool, error_rate: float, nested_calls: NestedCalls, names: dict[str, str]) -> Turn:
    x, steps = random_input(rng), _steps(rng, nested_calls)
    functions = OTHERS if steps > 1 and nested_calls == "others" else ALL
    prompt, program = _shown(template, rng, list(functions), steps, x, names)
    skipped = _skipped(rng, len(list(operators(program))), late)
    return Turn(prompt, answer(program, x, names, rng, error_rate if late else 0.0, skipped))


def _shown(template: str, rng: Random, functions: list[str], steps: int, x: str, names: dict[str, str]) -> tuple[str, Program]:
    """Draw a problem for input ``x``; return its prompt with definitions, and its expression."""
    program = random_program(rng, functions, steps, x)
    used = sorted(_ORDER.keys() & set(operators(program)), key=_ORDER.__getitem__)
    shown = "".join(definition(function, names[function]) for function in used)
    return prompts.prompt_text(template.replace("{code}", shown + "{code}"), text(program, names), x), program


def _hidden(template: str, rng: Random, error_rate: float, nested_calls: NestedCalls) -> Turn:
    x = random_input(rng)
    program = random_program(rng, list(OTHERS), _steps(rng, nested_calls), x)
    skipped = _skipped(rng, len(list(operators(program))), late=True)
    return Turn(prompts.prompt_text(template, text(program, NAMES), x), answer(program, x, NAMES, rng, error_rate, skipped))


def _steps(rng: Random, nested_calls: NestedCalls) -> int:
    return rng.randint(2, DEEPEST) if nested_calls != "none" and rng.random() < NESTED else 1


def _skipped(rng: Random, steps: int, late: bool) -> set[int]:
    """Draw the steps that an answer skips. Late, most answers to nested problems skip some."""
    stepwise = LATE_STEPWISE * LATE_STEPWISE_MORE ** (steps - 2) if late else STEPWISE
    if steps < 2 or rng.random() < stepwise:
        return set()
    kind = rng.random()
    if kind < 0.6:
        return set(range(1, steps))
    if kind < 0.8:
        return set(range(steps - 1))
    return set(rng.sample(range(steps), rng.randint(1, steps - 1)))


@cache
def definition(function: str, name: str) -> str:
    """Return the source of a function under the shown name, as prompts show it, with an empty line after it."""
    return f"def {name}{body(function)}\n\n"
