"""Accuracy with intervals: from rollouts to verdicts, from verdicts to accuracies (paper §4: pass rate by level)."""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Set
from dataclasses import asdict, dataclass, fields
from math import sqrt
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from fofg.data.files import read_rows, write_parquet, write_text
from fofg.data.schemas import ROLLOUTS, VERDICTS
from fofg.errors import UserError
from fofg.tasks.task import AnswerRule, Outcome
from fofg.tasks.task import read as read_problem

DEFINITIONS = ("visible", "hidden")
#: Quantile of the normal distribution for a two-sided 95% interval.
Z95 = 1.959963984540054
_CHUNK = 4096


@dataclass(frozen=True)
class Accuracy:
    """Share of correct responses of one model at one level, with the ends of its 95% interval.

    ``definitions``: visible or hidden in the prompt. Counts: ``problems`` with a response, ``samples`` (responses), and of those
    ``correct``, ``answered`` (an answer was found) and ``truncated`` (cut at the token limit) ones. ``trained``: problems that
    are also training problems.
    """

    model: str
    definitions: str
    level: int
    problems: int
    samples: int
    correct: int
    answered: int
    truncated: int
    accuracy: float
    low: float
    high: float
    trained: int = 0


class Counted(NamedTuple):
    """Rows of a rollout file and what became of them."""

    problems: int
    skipped: int
    samples: int


def wilson(share: float, trials: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a share in [0, 1] observed in ``trials`` > 0 independent trials (Wilson 1927)."""
    centre = share + z * z / (2 * trials)
    reach = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # Rounding may put the ends outside of what they bound.
    return max(0.0, min(share, (centre - reach) / scale)), min(1.0, max(share, (centre + reach) / scale))


def judge(rollouts: str | Path, output: str | Path, rule: AnswerRule) -> Counted:
    """Writes a verdict for each response of a rollout file. Raises UserError if the file is missing or damaged."""
    return judge_files([(rollouts, {})], output, VERDICTS, rule)


def judge_files(files: Iterable[tuple[str | Path, dict]], output: str | Path, schema: pa.Schema, rule: AnswerRule) -> Counted:
    """Writes a verdict for each response of several rollout files, with the further columns that stand beside each.

    Raises UserError as ``judge`` does.
    """
    problems = skipped = 0

    def rows() -> Iterator[list[dict]]:
        nonlocal problems, skipped
        chunk: list[dict] = []
        for path, columns in files:
            for place, row in enumerate(read_rows(path, ROLLOUTS)):
                made = verdicts(row, rule, f"{path}: row {place}")
                problems, skipped = problems + 1, skipped + (not made)
                chunk += [columns | verdict for verdict in made]
                if len(chunk) >= _CHUNK:
                    yield chunk
                    chunk = []
        yield chunk

    samples = write_parquet(output, schema, rows())
    return Counted(problems, skipped, samples)


def verdicts(row: dict, rule: AnswerRule, place: str) -> list[dict]:
    """Rows of fofg.data.schemas.VERDICTS, one a response. Raises UserError, naming the place, if the row has no ground truth."""
    (task, problem), info, result = read_problem(row, place), row["extra_info"], []
    for sample, (response, reason) in enumerate(zip(row["responses"], row["finish_reasons"])):
        cut = reason == "length"
        outcome = task.grade(problem, response, cut, rule)
        result.append(
            {
                "index": info["index"],
                "level": problem.level,
                "sample": sample,
                "correct": outcome is Outcome.CORRECT,
                "answered": outcome is not Outcome.NO_ANSWER,
                "truncated": cut,
            }
        )
    return result


def summarize(model: str, definitions: str, rows: Iterable[dict], trained: Set[int] = frozenset()) -> list[Accuracy]:
    """One Accuracy per level, ascending, from verdicts. ``trained``: indexes of the problems that are also training problems."""
    rows = list(rows)
    seen = Counter(level for level, _ in {(row["level"], row["index"]) for row in rows if row["index"] in trained})
    return [Accuracy(model, definitions, **level, trained=seen[level["level"]]) for level in by_level(rows)]


def by_level(rows: Iterable[dict]) -> list[dict]:
    """What verdicts come to at each level, ascending: level, counts, accuracy and interval as ``Accuracy`` has them.

    Responses to one problem are not independent, so the interval counts problems.
    """
    problems: dict[int, set[int]] = defaultdict(set)
    counts: dict[int, Counter] = defaultdict(Counter)
    for row in rows:
        problems[row["level"]].add(row["index"])
        counts[row["level"]].update({"samples": 1, **{name: int(row[name]) for name in ("correct", "answered", "truncated")}})
    result = []
    for level, count in sorted(counts.items()):
        share, trials = count["correct"] / count["samples"], len(problems[level])
        low, high = wilson(share, trials)
        result.append({"level": level, "problems": trials, **count, "accuracy": share, "low": low, "high": high})
    return result


def summarize_files(models: list[str], entries: list[str], trained: Set[int] = frozenset()) -> list[Accuracy]:
    """Accuracies from ``model/definitions=file`` entries, in the order of the models, visible before hidden.

    ``trained``: as for ``summarize``.

    Raises UserError for an entry of another form, an unknown or missing model, or a file without verdicts.
    """
    files = dict(_entry(entry, models) for entry in entries)
    result = []
    for model in models:
        if not any((model, definitions) in files for definitions in DEFINITIONS):
            raise UserError(f"--verdicts: none of model {model}; add {model}/visible=FILE or {model}/hidden=FILE")
        for definitions in DEFINITIONS:
            if path := files.get((model, definitions)):
                found = summarize(model, definitions, read_rows(path, VERDICTS), trained)
                if not found:
                    raise UserError(f"{path}: no verdict in it; were all prompts skipped as too long?")
                result += found
    return result


def _entry(text: str, models: list[str]) -> tuple[tuple[str, str], str]:
    name, equals, path = text.partition("=")
    model, _, definitions = name.rpartition("/")
    if not equals or not path or definitions not in DEFINITIONS:
        raise UserError(f"--verdicts: {text!r} is not of the form model/visible=FILE or model/hidden=FILE")
    if model not in models:
        raise UserError(f"--verdicts: {model!r} is not among the spec's models: {', '.join(models)}")
    return (model, definitions), path


def write_csv(path: str | Path, table: list[Accuracy]) -> None:
    """Writes a line an Accuracy, under a heading line of its fields' names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Accuracy)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in table)
    write_text(path, text.getvalue())


def read_csv(path: str | Path) -> list[Accuracy]:
    """The table that ``write_csv`` wrote. Raises UserError if the file is missing or no such table."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            table = [
                Accuracy(**{field.name: field.type(row[field.name]) for field in fields(Accuracy)}) for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no table of accuracies ({error}); make it again") from None
    if not table:
        raise UserError(f"{path}: no accuracy in it; make it again")
    return table
