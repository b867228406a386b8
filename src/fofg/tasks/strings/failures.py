"""Classify what goes wrong in a response (paper §4.5, where a language model tells the classes apart).

A *step* is an operation that a response writes down with its arguments and its result: a call, a join, a string method. It is the
expression's if it performs one of the expression's operations on that operation's operands as the response has them: building
correctly on a wrong result is correct. An operand that appears nowhere else in solution and response counts as a copying error, not
a composition error, unless another step performs the operation without one. Parameters belong to the function, unless they are
those of another call of it. The first class that applies counts:

- correct: the answer is right by the rule of scoring, however it came about.
- no_answer: no answer is found, or the response was cut at the token limit.
- unreadable: no step can be read, and the answer does not tell what was done.
- ignores_composition: the expression has two calls or more, and a single step is worked in place of all. Or there is no step, and
  the answer is the input, a literal, the value of a sub-expression, or that of one call applied to the input.
- incorrect_composition: a step is not the expression's: its function is not called there, or its operands are missing, too many, in
  another order or from elsewhere. If all calls are worked nevertheless: such a step comes after the outermost operation, or the
  answer is taken from elsewhere than from the outermost operation's result.
- incomplete_trace: all steps are the expression's, but calls, or the outermost operation, are missing before the answer. A call
  is not missing if a later step, or the answer, is what its right result leads to.
- atomic_error: all calls are worked on their own operands, but a result, an operand, a parameter or the answer is miswritten.
"""

from functools import lru_cache
from typing import Any

from fofg.errors import UserError
from fofg.tasks.strings.answers import find_answer
from fofg.tasks.strings.expressions import parse, size
from fofg.tasks.strings.failures_alignment import Solution, align
from fofg.tasks.strings.failures_reading import read_steps
from fofg.tasks.strings.grading import grade
from fofg.tasks.task import AnswerRule, Outcome

CLASSES = (
    "correct",
    "atomic_error",
    "incorrect_composition",
    "incomplete_trace",
    "ignores_composition",
    "no_answer",
    "unreadable",
)


@lru_cache(maxsize=64)
def analyze(expression: str, x: str, output: str) -> Solution:
    """Prepare a row's problem for comparison with responses.

    Raises UserError if the expression can't be read, or if ``output`` is not its value.
    """
    solution = Solution(parse(expression), x)
    if solution.output != output:
        raise UserError(f"ref_output is not the value of {expression[:200]}")
    return solution


def classify(solution: Solution, response: str, truncated: bool = False, rule: AnswerRule = "published") -> str:
    """Return the class of a response (one of CLASSES); ``truncated``: it was cut at the token limit. No text raises."""
    outcome = grade(response, solution.output, rule, truncated)
    if outcome is Outcome.CORRECT:
        return "correct"
    if outcome is Outcome.NO_ANSWER:
        return "no_answer"
    answer = _text(find_answer(response, rule))
    composed = size(solution.expression).calls > 1
    steps = read_steps(response, solution.x)
    if not any(step.complete for step in steps):
        return "ignores_composition" if composed and answer in solution.shortcuts else "unreadable"
    aligned = align(solution, steps, answer)
    if not aligned.missing and not aligned.beyond:
        return "incorrect_composition" if answer in aligned.elsewhere else "atomic_error"
    if aligned.steps == 1 and composed:
        return "ignores_composition"
    return "incorrect_composition" if aligned.foreign else "incomplete_trace"


def _text(answer: Any) -> str | None:
    """Return the answer as a string, numbers as written; None for lists, objects and other values."""
    if isinstance(answer, str):
        return answer
    return str(answer) if isinstance(answer, int | float) and not isinstance(answer, bool) else None
