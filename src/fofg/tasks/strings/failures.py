"""What goes wrong in a response: one class for each (paper §4.5: the classes; there a language model tells them apart).

A *step* is an operation that a response writes down with its arguments and its result: a call, a join, a string method. It is the
expression's if it works one of the expression's operations on that operation's operands, these being as the response has them:
going on rightly from a wrong result is right. An operand that stands nowhere else in problem and response is a slip of the pen and
no matter of composition, unless another step works the operation without one; nor are parameters, which belong to the function,
unless they belong to another call of it. Of the classes below the first that applies counts:

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
from fofg.tasks.strings.failures_alignment import Problem, align
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
def analyze(expression: str, x: str, output: str) -> Problem:
    """Return a row's problem with what its responses are compared with.

    Raises UserError if the expression can't be read, or if ``output`` is not its value.
    """
    problem = Problem(parse(expression), x)
    if problem.output != output:
        raise UserError(f"ref_output is not the value of {expression[:200]}")
    return problem


def classify(problem: Problem, response: str, truncated: bool = False, rule: AnswerRule = "published") -> str:
    """The class of a response (one of CLASSES); ``truncated``: it was cut at the token limit. No text raises."""
    outcome = grade(response, problem.output, rule, truncated)
    if outcome is Outcome.CORRECT:
        return "correct"
    if outcome is Outcome.NO_ANSWER:
        return "no_answer"
    answer = _text(find_answer(response, rule))
    composed = size(problem.expression).calls > 1
    said = read_steps(response, problem.x)
    if not any(one.whole for one in said):
        return "ignores_composition" if composed and answer in problem.shortcuts else "unreadable"
    aligned = align(problem, said, answer)
    if not aligned.missing and not aligned.beyond:
        return "incorrect_composition" if answer in aligned.elsewhere else "atomic_error"
    if aligned.steps == 1 and composed:
        return "ignores_composition"
    return "incorrect_composition" if aligned.foreign else "incomplete_trace"


def _text(answer: Any) -> str | None:
    """The answer as a string, numbers as they are written; None for lists, objects and the like."""
    if isinstance(answer, str):
        return answer
    return str(answer) if isinstance(answer, int | float) and not isinstance(answer, bool) else None
