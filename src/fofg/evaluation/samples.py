"""Choose responses to look at: of a level, a class or a problem, and another model's to the same problems."""

import difflib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fofg import names
from fofg.data.files import column_names
from fofg.data.reading import example_rows, problem_rows
from fofg.data.schemas import EXAMPLES, ROLLOUTS, STEP_ROLLOUTS, Message
from fofg.errors import UserError
from fofg.tasks import task as tasks
from fofg.tasks.task import AnswerRule, Explanation, Outcome, Problem, Task

#: Rollouts of a model under its folder, the first that exists.
_ROLLOUTS = (
    f"{names.HELD_OUT}/sampled/rollouts.parquet",
    f"{names.HELD_OUT}/greedy/rollouts.parquet",
    "sampled/rollouts.parquet",
    "rollouts.parquet",
)
#: Rows in memory at a time: each may have a thousand responses.
_BATCH = 16


class Choice(NamedTuple):
    """Which responses to show: at most ``limit``, of some ``level``, ``failure`` class, ``problem`` (number) and ``step`` of RL.

    None: any.
    """

    limit: int
    level: int | None = None
    failure: str | None = None
    problem: int | None = None
    step: int | None = None


class Response(NamedTuple):
    """One response. ``name``: which of the problem's, or which row of a file of examples.

    ``outcome``, ``failure`` and ``explanation`` are None if there is no ground truth, or the task can't tell; ``remark``: why not.
    """

    name: str
    text: str
    finish_reason: str | None
    tokens: int | None
    outcome: Outcome | None = None
    failure: str | None = None
    explanation: Explanation | None = None
    remark: str = ""


class Sample(NamedTuple):
    """A problem (``number``: its index) and the responses to compare, one per file; None if that has no such problem."""

    number: int
    level: int | None
    prompt: list[Message]
    problem: Problem | None
    responses: tuple[Response | None, ...]


class _Row(NamedTuple):
    """A row of either kind of file. ``number``: its problem's index; ``step``: of the training run that kept it;
    ``responses``: their name, text, finish reason and tokens.
    """

    number: int
    level: int | None
    step: int | None
    prompt: list[Message]
    task: Task | None
    problem: Problem | None
    responses: list[tuple[str, str, str | None, int | None]]

    def explained(self, number: int, rule: AnswerRule) -> Response:
        """Return one of the responses with its grade, class and explanation."""
        response = Response(*self.responses[number])
        if self.task is None or self.problem is None:
            return response._replace(remark="no verdict: the row has no ground truth")
        graded = (self.problem, response.text, response.finish_reason == "length", rule)
        response = response._replace(outcome=self.task.grade(*graded))
        try:
            response = response._replace(failure=self.task.classify(*graded))
            explanation = self.task.explain(*graded) if hasattr(self.task, "explain") else None
            return response._replace(explanation=explanation)
        except UserError as error:
            return response._replace(remark=f"not classified: {error}")


def find(name: str, run_dir: str, step: int | None = None) -> str:
    """Return the rollout file that a name means: itself, or a model's in a run
    (``stage1-rft``, ``stage1-rft/hidden``, ``seed1/stage1-rft``).

    With a ``step``, that of the rollouts that the model's training kept. Raises UserError if there is none.
    """
    if os.path.isfile(name):
        return name
    seed = re.match(rf"{names.SEED}\d+/", name)
    root, name = Path(run_dir, seed[0] if seed else ""), name[seed.end() :] if seed else name
    if step is not None:
        return _kept(name, root / names.MODELS)
    folder = root / names.EVALUATION
    for file in (folder / name / rollouts for rollouts in _ROLLOUTS):
        if file.is_file():
            return str(file)
    evaluated = sorted({file.relative_to(folder).parts[0] for file in folder.glob("*/**/rollouts.parquet")})
    if name in evaluated:
        others = sorted(str(file.parent.relative_to(folder)) for file in (folder / name).glob("**/rollouts.parquet"))
        raise UserError(f"{name}: not evaluated on held-out problems; there are {', '.join(others)}")
    if not evaluated:
        raise UserError(f"{name}: no such file, and no model is evaluated under {folder}; run target evaluate, or set run_dir")
    close = difflib.get_close_matches(name, evaluated, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise UserError(f"{name}: no such file, and no such model under {folder}; there are {', '.join(evaluated)}{hint}")


def _kept(name: str, models: Path) -> str:
    """Return the rollouts that an RL run kept beside its model."""
    file = models / name / names.KEPT
    if not file.is_file():
        others = sorted(path.parent.name for path in models.glob(f"*/{names.KEPT}"))
        there = f"there are {', '.join(others)}" if others else "set training.keep_rollouts, and train again"
        raise UserError(f"--step: no rollouts are kept in {file.parent}; {there}")
    return str(file)


def choose(path: str, choice: Choice, rule: AnswerRule, against: str | None = None) -> list[Sample]:
    """Return the first responses of a file that fit, one per problem, or with ``problem`` all of that problem's.

    ``against``: a second file, whose response of the same number, or else its first, is shown beside. Raises UserError if a file
    is damaged, if nothing fits, or if the second has none of the problems.
    """
    if against and os.path.samefile(path, against):
        raise UserError(f"--against: {against} is the same file; name another model or file")
    samples: list[Sample] = []
    keys: list[tuple[tuple, int]] = []
    shown: set[tuple] = set()
    seen = _Seen()
    for row in _rows(path):
        _check_class(choice.failure, row)
        seen.add(row)
        wanted = (choice.level, choice.problem, choice.step)
        if any(value not in (None, actual) for value, actual in zip(wanted, (row.level, row.number, row.step))):
            continue
        if choice.problem is None and key(row) in shown:
            continue
        for number in range(len(row.responses)):
            response = row.explained(number, rule)
            seen.classes[response.failure or "unclassified"] += 1
            if choice.failure in (None, response.failure):
                samples.append(Sample(row.number, row.level, row.prompt, row.problem, (response,)))
                keys.append((key(row), number))
                shown.add(key(row))
                if choice.problem is None or len(samples) == choice.limit:
                    break
        if len(samples) == choice.limit:
            break
    if not samples:
        raise UserError(f"{path}: {seen.missing(choice)}")
    return _beside(samples, keys, against, rule, choice.step) if against else samples


def first(path: str | Path, problems: int, rule: AnswerRule) -> Iterator[Sample]:
    """Yield the first ``problems`` of each level of a file, each with its first response. Raises UserError if it is damaged."""
    taken: Counter[int | None] = Counter()
    seen: set[tuple] = set()
    for row in _rows(str(path)):
        if row.responses and taken[row.level] < problems and key(row) not in seen:
            taken[row.level] += 1
            seen.add(key(row))
            yield Sample(row.number, row.level, row.prompt, row.problem, (row.explained(0, rule),))


def _beside(samples: list[Sample], keys: list[tuple[tuple, int]], path: str, rule: AnswerRule, step: int | None) -> list[Sample]:
    """Add the responses of another file to the same problems."""
    wanted = {problem for problem, _ in keys}
    rows: dict[tuple, _Row] = {}
    for row in _rows(path):
        if key(row) in wanted and row.responses and step in (None, row.step):
            rows.setdefault(key(row), row)
            if len(rows) == len(wanted):
                break
    if not rows:
        raise UserError(f"{path}: none of these problems is in it; choose files of the same problems")
    pairs = []
    for sample, (problem, number) in zip(samples, keys):
        other = rows.get(problem)
        response = other.explained(number if number < len(other.responses) else 0, rule) if other else None
        pairs.append(sample._replace(responses=(*sample.responses, response)))
    return pairs


class _Seen:
    """What a file has, for errors: numbers of problems, levels, steps, and classes of the responses that fit otherwise."""

    def __init__(self) -> None:
        self.steps: set[int] = set()
        self.numbers: tuple[int, int] | None = None
        self.levels: set[int] = set()
        self.responses = 0
        self.classes: Counter[str] = Counter()

    def add(self, row: _Row) -> None:
        low, high = self.numbers or (row.number, row.number)
        self.numbers = min(low, row.number), max(high, row.number)
        if row.level is not None:
            self.levels.add(row.level)
        if row.step is not None:
            self.steps.add(row.step)
        self.responses += len(row.responses)

    def missing(self, choice: Choice) -> str:
        """Return why nothing fits."""
        if not self.responses:
            return "holds no response; make the rollouts again"
        problem = "a problem" if choice.problem is None else f"problem {choice.problem}"
        if choice.level is not None:
            problem += f" of level {choice.level}"
        if choice.step is not None:
            problem += f" in step {choice.step}"
        if self.classes:
            there = ", ".join(f"{count} {name}" for name, count in self.classes.most_common())
            return f"no response to {problem} has class {choice.failure}; there are {there}"
        levels = f"levels {', '.join(map(str, sorted(self.levels)))}" if self.levels else "no levels"
        low, high = self.numbers or (0, 0)
        steps = f", steps {min(self.steps)} to {max(self.steps)}" if self.steps else ", no steps" if choice.step is not None else ""
        return f"no response to {problem}; there are problems {low} to {high}, {levels}{steps}"


def _check_class(failure: str | None, row: _Row) -> None:
    """Raise UserError for a class that no task has; a file may hold problems of several."""
    if failure is None or row.task is None or failure in row.task.failure_classes:
        return
    if not any(failure in task.failure_classes for task in map(tasks.load, tasks.TASKS)):
        raise UserError(f"--class: task {row.task.name} has no class {failure!r}; it has {', '.join(row.task.failure_classes)}")


def key(row: Sample | _Row) -> tuple:
    """Return what two samples, or rows, of the same problem share."""
    return (row.problem.question, row.problem.input) if row.problem else (row.number,)


def _rows(path: str) -> Iterator[_Row]:
    """Yield the rows of a file of rollouts or training examples. Raises UserError for any other."""
    columns = {*column_names(path)}
    if "responses" in columns:
        for number, row in enumerate(problem_rows(path, STEP_ROLLOUTS if "step" in columns else ROLLOUTS, _BATCH)):
            texts = [text or "" for text in row["responses"] or []]
            reasons, tokens = (_padded(row[name], len(texts)) for name in ("finish_reasons", "token_counts"))
            labels = [f"{_step(row)}response {sample}" for sample in range(len(texts))]
            yield _row(row, number, f"{path}: row {number}", list(zip(labels, texts, reasons, tokens)))
    elif {"response", "completion", "messages"} & columns:
        for number, row in enumerate(example_rows(path, EXAMPLES)):
            yield _row(row, number, f"{path}: row {number}", [(f"row {number}", row["response"], None, None)])
    else:
        wanted = "needs a column responses (rollouts), or response, completion or messages (training examples)"
        raise UserError(f"{path}: {wanted}; it has {', '.join(sorted(columns))}")


def _row(row: dict, number: int, where: str, responses: list[tuple[str, str, str | None, int | None]]) -> _Row:
    info = row.get("extra_info") or {}
    index, level = info.get("index"), info.get("level")
    task, problem = None, None
    if row.get("data_source") is not None and row.get("reward_model") is not None:
        task, problem = tasks.read(row, where)
        level = problem.level if level is None else level
    return _Row(number if index is None else index, level, row.get("step"), row["prompt"], task, problem, responses)


def _step(row: dict) -> str:
    return "" if row.get("step") is None else f"step {row['step']}, "


def _padded(values: Sequence | None, count: int) -> list:
    return [*(values or []), *[None] * count][:count]
