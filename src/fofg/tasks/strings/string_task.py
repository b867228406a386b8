"""The string task as the pipeline sees it (fofg.tasks.task.Task)."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from random import Random

from fofg.config import Hints, Problems, Warmup
from fofg.data.files import CORRECT, cure
from fofg.data.schemas import Message
from fofg.errors import UserError
from fofg.tasks.strings import balanced_sampler, failures, pools, published_sampler
from fofg.tasks.strings.explanation import explain
from fofg.tasks.strings.expressions import OutputTooLong, Size, evaluate, parse, size
from fofg.tasks.strings.functions import FUNCTIONS, PUBLIC_NAMES, READABLE_NAMES
from fofg.tasks.strings.grading import grade
from fofg.tasks.strings.problem import Sampled
from fofg.tasks.strings.prompts import code, prompt_text
from fofg.tasks.task import AnswerRule, Explanation, Outcome, Problem, Split

#: A string literal, or the name of a called function (a method's is left out).
_CALLED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?<!\.)\b(\w+)\(""")
#: The end of a public row's ``ref_code``, after definitions if there are any.
_PROGRAM = re.compile(r"def main_solution\(x\):\s+return (?P<expression>[^\n]+?)\s*\Z")
#: The longest step of an expression that others wrote.
MAX_CHARACTERS = 100_000
_quote = json.JSONEncoder(ensure_ascii=False).encode
_decode = json.JSONDecoder().decode


class Strings:
    """Compositions of string functions. A problem's question is its expression; its hints are the functions' definitions."""

    name = "string_task"
    sources = ("codeio-",)  # of the public code
    ability = "composition"
    skills = PUBLIC_NAMES
    failure_classes = failures.CLASSES

    def sample(self, settings: Problems, split: Split) -> Iterator[Problem]:
        pool = pools.pool(settings, split.stage, split.functions or split.split)
        if settings.sampler == "paper":
            return map(_problem, published_sampler.sample(split.shares, pool, settings))
        return map(_problem, balanced_sampler.sample(split, pool, settings))

    def prompt(self, problem: Problem, template: str, hints: Hints) -> list[Message]:
        names = self._functions(problem) if hints else ()
        text = prompt_text(template, problem.question, problem.input, names, hints == "explained")
        return [{"role": "user", "content": text}]

    def worked_examples(self, settings: Warmup, template: str, split: str) -> Iterator[tuple[list[Message], str]]:
        """Yield examples from the corpus that the embedded model is made with; the paper's functions are never composed in them."""
        from fofg.tiny_base import corpus, library  # which import this package

        single = list(library.OTHERS if settings.skills == "others" else library.ALL)
        rng = Random(f"{settings.seed} {split}")
        for prompt, response in corpus.worked_examples(template, single, settings.levels, rng):
            yield [{"role": "user", "content": prompt}], response

    def _functions(self, problem: Problem) -> tuple[str, ...]:
        """Return the problem's functions in order of their number. Raises UserError for one without a definition."""
        if "functions" in problem.details:
            return problem.details["functions"]
        used = frozenset(_called(problem.question))
        if unknown := used - FUNCTIONS.keys():
            raise UserError(f"{problem.question[:200]}: no definition of {', '.join(unknown)}; correct or remove the problem")
        return _in_order(used)

    def read(self, row: Mapping, where: str) -> Problem:
        written = (row["reward_model"] or {}).get("ground_truth") or ""
        info = row.get("extra_info") or {}
        try:
            question, given, output, published = _truth(_decode(written))
            for value in (question, given, output):
                value.encode()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            file, named, _ = where.rpartition(": ")
            raise UserError(
                f"{where}: reward_model.ground_truth must be JSON with the strings ref_input, ref_output and expression (or "
                f"ref_code), not {written[:80]!r}; {cure(file, CORRECT) if named else 'correct the problems'}"
            ) from None
        level = info.get("level")
        if level is None:
            level = info.get("depth") if published else None
        return Problem(question, given, output, _level(question, published) if level is None else level, written)

    def complete(self, problem: Problem, where: str) -> Problem:
        try:
            expression = parse(problem.question)
        except UserError as error:
            if not _truth(_decode(problem.truth))[3]:
                return problem  # functions of the user's own: nothing to derive
            raise UserError(f"{where}: {error}; correct or remove the row") from None
        try:
            output = evaluate(expression, problem.input, cap=MAX_CHARACTERS)
        except (OutputTooLong, RecursionError):
            raise UserError(f"{where}: a step has more than {MAX_CHARACTERS:,} characters; remove the row") from None
        if output != problem.output:
            gives = f"{problem.question[:200]} gives {output[:80]!r} for {problem.input[:80]!r}, not {problem.output[:80]!r}"
            raise UserError(f"{where}: {gives}; correct or remove the row")
        return problem._replace(details=_details(problem.question, size(expression)))

    def publish(self, problem: Problem) -> tuple[str, str]:
        """Return a problem's ``data_source`` and ground truth in the public code's form."""
        truth = {
            "ref_input": {"x": problem.input},
            "ref_output": problem.output,
            "ref_code": code(problem.question),
            "funcname": "main_solution",
        }
        return f"{self.sources[0]}forward-incomplete-depth{problem.level}", json.dumps(truth)

    def count_skills(self, problem: Problem) -> dict[str, int]:
        counts: dict[str, int] = {}  # several times as fast as a Counter for a few names
        for name in _called(problem.question):
            counts[name] = counts.get(name, 0) + 1
        return counts

    def grade(self, problem: Problem, response: str, truncated: bool = False, rule: AnswerRule = "published") -> Outcome:
        return grade(response, problem.output, rule, truncated)

    def classify(self, problem: Problem, response: str, truncated: bool = False, rule: AnswerRule = "published") -> str:
        return failures.classify(failures.analyze(problem.question, problem.input, problem.output), response, truncated, rule)

    def explain(self, problem: Problem, response: str, truncated: bool = False, rule: AnswerRule = "published") -> Explanation:
        return explain(failures.analyze(problem.question, problem.input, problem.output), response, truncated, rule)


def _problem(sampled: Sampled) -> Problem:
    question = sampled.text
    truth = f'{{"ref_input": {_quote(sampled.input)}, "ref_output": {_quote(sampled.output)}, "expression": {_quote(question)}}}'
    return Problem(question, sampled.input, sampled.output, sampled.level, truth, _details(question, size(sampled.expression)))


def _details(question: str, measured: Size) -> dict:
    return {"depth": measured.depth, "calls": measured.calls, "functions": _in_order(frozenset(_called(question)))}


def _truth(truth: dict) -> tuple[str, str, str, bool]:
    """Return expression, input and output of a ground truth, and whether it is in the form of the public code."""
    if "expression" in truth:
        return truth["expression"], truth["ref_input"], truth["ref_output"], False
    program, given = _PROGRAM.search(truth["ref_code"]), truth["ref_input"]
    if not program:
        raise ValueError("no main_solution")
    return program["expression"], given if isinstance(given, str) else given["x"], truth["ref_output"], True


def _called(expression: str) -> list[str]:
    """Return the readable names of the functions that an expression calls, one per call."""
    return [READABLE_NAMES.get(name, name) for name in _CALLED.findall(expression) if name]


@lru_cache(maxsize=4096)
def _in_order(names: frozenset[str]) -> tuple[str, ...]:
    return tuple(name for name in FUNCTIONS if name in names)


def _level(expression: str, published: bool) -> int | None:
    """Return the number of calls on the longest path, or as the public code counts, the depth; None if it can't be parsed."""
    try:
        measured = size(parse(expression))
        return measured.depth if published else measured.level
    except UserError:
        return None
