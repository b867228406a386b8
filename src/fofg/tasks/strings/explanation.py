"""Explain a response: its answer, the true trace, and the first step that goes wrong."""

import json
from collections.abc import Iterable

from fofg.tasks.strings import failures
from fofg.tasks.strings.answers import NO_ANSWER, find_answer
from fofg.tasks.strings.expressions import Operation, apply, shown, steps
from fofg.tasks.strings.failures_alignment import Solution, performed
from fofg.tasks.strings.failures_calls import LONGEST_JOIN
from fofg.tasks.strings.failures_reading import NamedStep, steps_by_line
from fofg.tasks.task import AnswerRule, Explanation

#: Class of a response without a wrong step -> what is wrong with its answer.
_ANSWERS = {
    "atomic_error": "no wrong step found, but the answer is not their result",
    "incorrect_composition": "no wrong step found, but the answer is another of their strings",
    "incomplete_trace": "no wrong step found, but steps are missing",
    "ignores_composition": "solves only a part of the problem",
    "unreadable": "wrong, and no step can be read",
}


def explain(solution: Solution, response: str, truncated: bool = False, rule: AnswerRule = "published") -> Explanation:
    """Return what a response did, by the alignment that ``failures.classify`` uses. No text raises.

    The first wrong step is the first that the expression does not have, that has an operand from elsewhere, or whose result is
    not that of its operation. Where none does and the answer is wrong, it is the answer.
    """
    answer = NO_ANSWER if truncated else find_answer(response, rule)
    extracted = None if answer is NO_ANSWER else _json(answer)
    trace = [f"{_call(step.operator, step.arguments)} -> {_json(step.output)}" for step in steps(solution.expression, solution.x)]
    line, remark = _first_wrong(solution, response)
    answered = response.rfind('"output"')
    if line is None and answered >= 0:
        remark = _ANSWERS.get(failures.classify(solution, response, truncated, rule), "")
        line = response.count("\n", 0, answered) if remark else None
    return Explanation(extracted, _json(solution.output), trace, line, remark)


def _first_wrong(solution: Solution, response: str) -> tuple[int | None, str]:
    """Return line and fault of the first wrong step; None if there is none."""
    named = steps_by_line(response, solution.x)
    if any(step.complete for _, step in named):
        works = performed(solution, [step for _, step in named])
        for line, step in named:
            work = works.get((step.operator, step.arguments))
            if work and (fault := _fault(step, *work)):
                return line, fault
    return None, ""


def _fault(step: NamedStep, operations: list[Operation], miscopied: bool) -> str:
    """Return what is wrong with a step that performs some operations, or none of the expression's; "" for nothing."""
    if not operations:
        return "not a step of this problem" + (f": {_call(step.operator, step.arguments)}" if step.arguments else "")
    strings = [argument for argument in step.arguments or () if isinstance(argument, str)]
    if not step.complete or sum(map(len, strings)) > LONGEST_JOIN:
        return ""
    if miscopied:
        return "an operand is neither in the problem nor the result of a step"
    right = []
    for node in operations:
        operands = strings[: len(node.operands)]
        if len(operands) < len(node.operands) or (step.in_words and (len(strings) > 1 or strings[0] in node.parameters)):
            return ""  # words may name strings in any order
        output = apply(node.operator, operands, node.parameters)
        right.append(f"{_call(shown(node), (*operands, *node.parameters))} is {_json(output)}")
        if output == step.output:
            return ""
    return right[0]


def _call(operator: str, arguments: Iterable) -> str:
    texts = ["?" if argument is None else _json(argument) for argument in arguments]
    if operator == "+":
        return " + ".join(texts)
    return f"{texts[0]}{operator}()" if operator.startswith(".") and texts else f"{operator}({', '.join(texts)})"


def _json(value) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "a list or object that is nested too deep"
