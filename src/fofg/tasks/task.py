"""Tasks (domains of problems): the only interface through which the pipeline uses them.

A task is one class: an entry of TASKS, or named in the configuration (``problems.task: package.module:Class``). A row belongs to
the task that its ``data_source`` names, so that a file may hold problems of several.
"""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from hashlib import blake2b
from importlib import import_module, util
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from fofg.config import AnswerRule, Hints, Problems
from fofg.data.schemas import Message
from fofg.errors import UserError

Scheme = Literal["published_code", "binary"]


class Outcome(Enum):
    """The grade of a response; REWARDS maps it to a reward."""

    CORRECT = "correct"
    WRONG = "wrong"
    NO_ANSWER = "no answer"


#: Scheme -> reward of each outcome.
REWARDS: dict[Scheme, dict[Outcome, float]] = {
    "published_code": {Outcome.CORRECT: 1.0, Outcome.WRONG: 0.0, Outcome.NO_ANSWER: -1.0},
    "binary": {Outcome.CORRECT: 1.0, Outcome.WRONG: 0.0, Outcome.NO_ANSWER: 0.0},
}


class Split(NamedTuple):
    """One split of a dataset: ``stage`` 1 or 2, and (level, problems) pairs, the lowest level first.

    ``functions``: the side whose skills it has, None for that of the split; ``pairs``: compositions of two skills that training
    has, or those that it leaves out. A task that can't choose these gets them from no valid configuration.
    """

    dataset: str
    stage: int
    split: Literal["train", "test"]
    shares: list[tuple[int, int]]
    functions: Literal["train", "test"] | None = None
    pairs: Literal["seen", "new"] | None = None


class Problem(NamedTuple):
    """A problem of any task. Two with the same question and input are the same problem.

    ``truth``: the row's ground truth, from which the task can restore the problem; ``details``: fields of ``extra_info``
    (fofg.data.schemas.DETAILS) for readers of the file.
    """

    question: str
    input: str
    output: str
    level: int | None
    truth: str
    details: Mapping[str, Any] = {}


class Explanation(NamedTuple):
    """What a response did, as text of any length and with any characters.

    ``answer``: what it answers, None if nothing; ``expected``: a right answer, or what makes one; ``trace``: the steps of a right
    solution. ``line``: of the response, from 0, with the first wrong step; None if there is none, or it can't be told. ``remark``:
    what is wrong there.
    """

    answer: str | None
    expected: str
    trace: Sequence[str] = ()
    line: int | None = None
    remark: str = ""


class Task(Protocol):
    """A domain of problems: how they are sampled, shown and graded.

    A class may also have ``worked_examples(settings, template, split)``, which yields prompts (chat messages) and right responses
    without end, for a warm-up (fofg.config.Warmup); hints are visible in them, and no test example is one to train on.

    ``name`` is the ``data_source`` of its rows (unless problems.data_source is another), ``ability`` their column of that name.
    Exposure is counted by ``skills`` (skill -> name in tables and figures). ``failure_classes``: the values of ``classify``,
    "correct" first. A task may also have ``sources``, beginnings of the ``data_source`` of others' rows that it reads,
    ``complete``, ``publish``, ``explain``, and ``check_packages``.
    """

    name: str
    ability: str
    skills: Mapping[str, str]
    failure_classes: tuple[str, ...]

    def sample(self, settings: Any, split: Split) -> Iterator[Problem]:
        """Yield the problems of a split, the same ones each time. The first problems of a level stay the same if there are more.

        ``settings``: the task's section of the configuration, fofg.config.TaskProblems, or Problems for the task of Stage 2.

        Raises UserError if the settings do not allow that many.
        """

    def check_packages(self) -> None:
        """Raise UserError if this Python lacks a package that ``sample`` needs. Optional."""

    def prompt(self, problem: Problem, template: str, hints: Hints) -> list[Message]:
        """Return a problem's prompt as chat messages; ``hints``: include what only Stage 1 shows, or even explain it."""

    def read(self, row: Mapping, where: str) -> Problem:
        """Return the problem of a row (fofg.data.schemas.PROBLEMS), which may be the user's own.

        Raises UserError, naming ``where`` (file and row), if its ground truth is not one of this task.
        """

    def complete(self, problem: Problem, where: str) -> Problem:
        """Return a problem that others wrote with the level and details that its row lacks. Optional.

        Raises UserError, naming ``where``, if its output is wrong.
        """

    def publish(self, problem: Problem) -> tuple[str, str]:
        """Return a problem's ``data_source`` and ground truth as the paper's public code has them. Optional."""

    def count_skills(self, problem: Problem) -> Mapping[str, int]:
        """Return how often the problem uses each of its skills."""

    def grade(self, problem: Problem, response: str, truncated: bool = False, rule: AnswerRule = "published") -> Outcome:
        """Grade a response, in time linear in its length. Never raises for its text, and never executes any of it.

        ``truncated``: the response was cut at the token limit, which counts as no answer.
        """

    def classify(self, problem: Problem, response: str, truncated: bool = False, rule: AnswerRule = "published") -> str:
        """Return the failure class of a response, with the same guarantees as ``grade``."""

    def explain(self, problem: Problem, response: str, truncated: bool = False, rule: AnswerRule = "published") -> Explanation:
        """Return answer, right answer and first wrong step of a response, with the same guarantees as ``grade``. Optional."""


_DEFAULT = "string_task"
#: Name -> "module:class".
TASKS = {"string_task": "fofg.tasks.strings:Strings", "countdown": "fofg.tasks.countdown:Countdown"}


def get(source: str) -> Task:
    """Return the task of rows by their ``data_source``: its name, perhaps with a slash and more behind it.

    Apart from TASKS, the environment variable FOFG_TASK can name one as ``package.module:Class``, and FOFG_DATA_SOURCE what its
    rows carry in place of its name. The workflow sets both from the configuration (``task_variables``), so the rows of a file never
    decide which code is imported. Raises UserError for an unknown task.
    """
    return _find(source, os.environ.get("FOFG_TASK"), os.environ.get("FOFG_DATA_SOURCE") or None)


@lru_cache(maxsize=1024)
def _find(source: str, configured: str | None, alias: str | None) -> Task:
    task = load(configured) if configured else None
    name, slash = source, "/"
    while slash:  # verl's rows have their level behind it; names of others have slashes of their own
        if name in TASKS:
            return load(name)
        if task and name in (task.name, alias):
            return task
        name, slash, _ = name.rpartition("/")
    for other in map(load, TASKS):
        if any(part.startswith(getattr(other, "sources", ())) for part in source.split("/")):
            return other
    names = list(dict.fromkeys([*TASKS, *([task.name] if task else [])]))
    close = difflib.get_close_matches(source, names, n=1)
    hint = f"; did you mean {close[0]}?" if close else "; name another with problems.task, or its rows with problems.data_source"
    raise UserError(f"no task for data_source {source!r}; known: {', '.join(names)}{hint}")


def configured() -> Task:
    """Return the configured task (``problems.task``), which the workflow passes in FOFG_TASK."""
    return load(os.environ.get("FOFG_TASK", _DEFAULT))


def task_variables(problems: Problems) -> dict[str, str]:
    """Return the variables of the environment by which programs find the configured task, and the rows that are its own."""
    return {"FOFG_TASK": problems.task, "FOFG_DATA_SOURCE": problems.data_source or ""}


def check_data_source(problems: Problems) -> None:
    """Raise UserError if the configured ``data_source`` is that of another task. ``task_variables`` must be set."""
    if problems.data_source and get(problems.data_source) is not load(problems.task):
        raise UserError(f"problems.data_source: {problems.data_source} is the name of another task; choose one of your own")


@lru_cache
def load(name: str) -> Task:
    """Load a task by its name in the configuration: one of TASKS, or ``package.module:Class``. Raises UserError for others."""
    module, _, attribute = TASKS.get(name, name).partition(":")
    try:
        return getattr(import_module(module), attribute)()
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"problems.task: {name} can't be loaded ({error}); correct it, or put its folder on PYTHONPATH") from None


def check_packages(name: str) -> None:
    """Raise UserError if this Python lacks a package that a task needs to sample problems."""
    task = load(name)
    if hasattr(task, "check_packages"):
        task.check_packages()


def source_digest(name: str) -> str | None:
    """Return the digest of the source of the user's own task: of its module's file, or of all Python files of a package.

    None for one of TASKS: ``code`` numbers tell of their changes. Nothing of the task is executed. Raises UserError if there is no
    such module.
    """
    if name in TASKS:
        return None
    module = name.partition(":")[0]
    try:
        found = util.find_spec(module)
    except (ImportError, ValueError):
        found = None
    if not (found and found.origin):
        raise UserError(f"problems.task: no module {module}; correct it, or put its folder on PYTHONPATH")
    path = Path(found.origin)
    digest = blake2b(digest_size=16)
    for file in sorted(path.parent.rglob("*.py")) if found.submodule_search_locations else [path]:
        digest.update(f"{file.relative_to(path.parent)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def of_row(row: Mapping, where: str) -> Task:
    """Return the task of a row, by its ``data_source``. Raises UserError, naming ``where``."""
    try:
        return get(str(row["data_source"]))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def read(row: Mapping, where: str) -> tuple[Task, Problem]:
    """Return a row's task and problem. Raises UserError, naming ``where``, for an unknown task or an unusable ground truth."""
    task = of_row(row, where)
    return task, task.read(row, where)


def complete(row: Mapping, where: str) -> tuple[Task, Problem]:
    """Do the same for a row that others wrote: with level and details, and its output checked, where the task can do that."""
    task, problem = read(row, where)
    return task, task.complete(problem, where) if hasattr(task, "complete") else problem
