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

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fofg.data.files import read_rows, write_parquet
from fofg.data.rollout_files import RolloutFile
from fofg.data.schemas import FAILURE_SHARES, FAILURES
from fofg.errors import UserError
from fofg.evaluation.tables import files_by_model
from fofg.tasks.strings.answers import Rule, find_answer
from fofg.tasks.strings.expressions import parse
from fofg.tasks.strings.failures_alignment import Problem, align
from fofg.tasks.strings.failures_reading import read_steps
from fofg.tasks.strings.grading import Outcome, score
from fofg.tasks.strings.truth import read_truth

CLASSES = (
    "correct",
    "atomic_error",
    "incorrect_composition",
    "incomplete_trace",
    "ignores_composition",
    "no_answer",
    "unreadable",
)
_COLUMNS = ["reward_model", "extra_info", "responses", "finish_reasons"]


def classify(problem: Problem, response: str, truncated: bool = False, rule: Rule = "published") -> str:
    """The class of a response (one of CLASSES); ``truncated``: it was cut at the token limit. No text raises."""
    outcome = score(response, problem.output, rule, truncated)
    if outcome is Outcome.CORRECT:
        return "correct"
    if outcome is Outcome.NO_ANSWER:
        return "no_answer"
    answer = _text(find_answer(response, rule))
    composed = problem.expression.calls > 1
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


def classify_file(rollouts: str | Path, output: str | Path, levels: tuple[int, int], rule: Rule) -> Counter[str]:
    """Writes the class of each response to problems of the levels, lowest to highest (schemas.FAILURES).

    Returns class -> responses. Raises UserError if the file is missing or damaged, has no problem of these levels, or one whose
    ground truth is not the value of its expression.
    """
    counts: Counter[str] = Counter()
    problems = 0

    def rows() -> Iterator[list[dict]]:
        nonlocal problems
        place = 0
        for batch in RolloutFile(rollouts).batches("classifying", _COLUMNS):
            chunk: list[dict] = []
            for row in batch.to_pylist():
                if levels[0] <= row["extra_info"]["level"] <= levels[1]:
                    problems += 1
                    chunk += _classified(row, rule, f"{rollouts}: row {place}")
                place += 1
            counts.update(row["failure"] for row in chunk)
            yield chunk
        if not problems:
            raise UserError(f"{rollouts}: no problem of level {levels[0]} to {levels[1]}; correct failures.levels")

    write_parquet(output, FAILURES, rows())
    return counts


def _classified(row: dict, rule: Rule, place: str) -> list[dict]:
    truth, info = read_truth(row["reward_model"]["ground_truth"], place), row["extra_info"]
    try:
        problem = Problem(parse(truth.expression), truth.input)
    except UserError as error:
        raise UserError(f"{place}: {error}; make the problems again") from None
    if problem.output != truth.output:
        raise UserError(f"{place}: ref_output is not the value of {truth.expression[:200]}; make the problems again")
    return [
        {
            "index": info["index"],
            "level": info["level"],
            "sample": sample,
            "failure": classify(problem, text, reason == "length", rule),
        }
        for sample, (text, reason) in enumerate(zip(row["responses"], row["finish_reasons"]))
    ]


def summarize(models: list[str], entries: Iterable[str]) -> list[dict]:
    """Rows of schemas.FAILURE_SHARES from ``MODEL=FILE`` entries: models in order, levels ascending, a row for every class.

    Raises UserError as ``files_by_model`` does, and for a file without responses or with a class that is none.
    """
    table = []
    for model, path in files_by_model("--failures", entries, models).items():
        counts: dict[int, Counter[str]] = defaultdict(Counter)
        for row in read_rows(path, FAILURES):
            if row["failure"] not in CLASSES:
                raise UserError(f"{path}: no class {row['failure']!r}; there are {', '.join(CLASSES)}; make it again")
            counts[row["level"]][row["failure"]] += 1
        if not counts:
            raise UserError(f"{path}: no response in it; were all prompts skipped as too long?")
        for level, found in sorted(counts.items()):
            shares = [(name, found[name], found[name] / found.total()) for name in CLASSES]
            table += [dict(zip(FAILURE_SHARES.names, (model, level, *share))) for share in shares]
    return table
