"""Describe datasets: levels, sizes, exposure by skill, and how far files overlap."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from fofg.data.files import count_rows, cure, write_json
from fofg.data.reading import problem_rows
from fofg.data.schemas import PROBLEMS
from fofg.errors import UserError
from fofg.tasks.task import Problem, Task
from fofg.tasks.task import read as read_problem

#: The columns to read: not the prompts, which are most of a problem file.
COLUMNS = pa.schema([PROBLEMS.field(name) for name in ("data_source", "reward_model", "extra_info")])

Paths = Mapping[str, str | os.PathLike]


class Contents(NamedTuple):
    """What a description needs of one problem file.

    ``levels``: level -> (depth, calls) of each problem. ``lengths`` [rows]: characters of input and output. ``problems`` [rows]
    uint64: hashes of (question, input); ``distinct`` and ``inputs``: unique hashes of problems and of inputs, sorted. By skill:
    ``problems_using`` it, ``uses`` in total, and its name in tables.
    """

    levels: Mapping[int | None, list[tuple[int | None, int | None]]]
    lengths: list[tuple[int, int]]
    problems: np.ndarray
    distinct: np.ndarray
    inputs: np.ndarray
    problems_using: Counter[str]
    uses: Counter[str]
    skills: dict[str, str]


def describe(files: Paths, outputs: Paths, disjoint: bool) -> None:
    """Write a description (JSON) of each dataset.

    ``files``: dataset/split -> problem file (schemas.PROBLEMS); ``outputs``: dataset -> JSON file. Only hashes
    and numbers are in memory. Raises UserError if a file is damaged or a name has no counterpart, or if ``disjoint`` is set and a
    training problem of any dataset is also a test problem.
    """
    _check_names(files, outputs)
    with tqdm(total=sum(map(count_rows, files.values())), desc="describe", unit="problem") as bar:
        contents = {name: read(path, bar) for name, path in files.items()}
    if disjoint:
        _check_disjoint(files, contents)
    for dataset, path in outputs.items():
        splits = {name.partition("/")[2]: name for name in files if name.partition("/")[0] == dataset}
        described = {split: summarize(name, contents) for split, name in splits.items()}
        write_json(path, {"dataset": dataset, "splits": described, "disjoint": disjoint})


def read(path: str | os.PathLike, bar: tqdm) -> Contents:
    """Read the contents of a problem file. Raises UserError if it is damaged or empty."""
    levels, lengths = defaultdict(list), []
    problems: list[int] = []
    inputs: set[int] = set()
    problems_using: Counter[str] = Counter()
    uses: Counter[str] = Counter()
    tasks, skills = set[Task](), dict[str, str]()
    for number, row in enumerate(problem_rows(path, COLUMNS)):
        task, problem = read_problem(row, f"{path}: row {number}")
        info = row["extra_info"]
        levels[info["level"]].append((info["depth"], info["calls"]))
        lengths.append((len(problem.input), len(problem.output)))
        inputs.add(_hash(problem.input))
        problems.append(_hash(f"{problem.question}\n{problem.input}"))
        for skill, count in task.count_skills(problem).items():
            uses[skill] += count
            problems_using[skill] += 1
        if task not in tasks:
            tasks.add(task)
            skills |= task.skills
        bar.update()
    if not problems:
        raise UserError(f"{path}: holds no problem; {cure(path)}")
    hashes, distinct = np.array(problems, np.uint64), np.unique(np.array(list(inputs), np.uint64))
    return Contents(levels, lengths, hashes, np.unique(hashes), distinct, problems_using, uses, skills)


def trained_on(test: str | os.PathLike, train: str | os.PathLike) -> set[int]:
    """Return the row numbers of test problems that are also training problems (same question and input).

    Raises UserError if a file is missing or damaged.
    """
    rows: dict[tuple[str, str], list[int]] = {}
    for row, problem in enumerate(_problems(test)):
        rows.setdefault((problem.question, problem.input), []).append(row)
    return {row for problem in _problems(train) for row in rows.get((problem.question, problem.input), ())}


def _problems(path: str | os.PathLike) -> Iterator[Problem]:
    for number, row in enumerate(problem_rows(path, COLUMNS)):
        yield read_problem(row, f"{path}: row {number}")[1]


def summarize(name: str, contents: Mapping[str, Contents]) -> dict:
    """Describe one file: counts, ranges, exposure by skill, overlap with every other file."""
    here = contents[name]
    inputs, outputs = zip(*here.lengths)
    return {
        "rows": len(here.lengths),
        "levels": {
            "unknown" if level is None else str(level): {
                "rows": len(here.levels[level]),
                **{kind: _range(values) for kind, values in zip(("depth", "calls"), zip(*here.levels[level]))},
            }
            for level in sorted(here.levels, key=lambda level: (level is None, level))
        },
        "input_length": _range(inputs),
        "output_length": _range(outputs),
        "duplicates": len(here.problems) - len(here.distinct),
        "exposure": {
            skill: {
                "public_name": here.skills.get(skill, skill),
                "problems": here.problems_using[skill],
                "calls": here.uses[skill],
            }
            for skill in [*here.skills, *sorted(here.uses.keys() - here.skills.keys())]
        },
        "overlap": {
            other: {"problems": _shared(here.distinct, there.distinct), "inputs": _shared(here.inputs, there.inputs)}
            for other, there in contents.items()
            if other != name
        },
    }


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _shared(these: np.ndarray, those: np.ndarray) -> int:
    """Count the hashes that two sorted arrays without duplicates have in common."""
    few, many = sorted((these, those), key=len)
    at = np.searchsorted(many, few)
    return int(np.count_nonzero(many[np.minimum(at, len(many) - 1)] == few))


def _range(values: Iterable[int | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    if not known:
        return dict.fromkeys(("min", "mean", "max"))
    return {"min": min(known), "mean": sum(known) / len(known), "max": max(known)}


def _check_names(files: Paths, outputs: Paths) -> None:
    for name in files:
        dataset, _, split = name.partition("/")
        if split not in ("train", "test"):
            raise UserError(f"--files: {name!r} is not of the form DATASET/train or DATASET/test")
        if dataset not in outputs:
            raise UserError(f"--outputs: none for dataset {dataset} of --files; add {dataset}=JSON")
    for dataset in outputs:
        if not {f"{dataset}/train", f"{dataset}/test"} & files.keys():
            raise UserError(
                f"--files: none of dataset {dataset} of --outputs; add {dataset}/train=PARQUET or {dataset}/test=PARQUET"
            )


def _check_disjoint(files: Paths, contents: Mapping[str, Contents]) -> None:
    overlaps = []
    for train in (name for name in files if name.endswith("/train")):
        for test in (name for name in files if name.endswith("/test")):
            shared = np.flatnonzero(np.isin(contents[train].problems, contents[test].problems))
            if len(shared):
                rows = ", ".join(map(str, shared[:5].tolist()))
                overlaps.append(f"{len(shared)} of {files[train]} are in {files[test]} (rows {rows}{' ...' * (len(shared) > 5)})")
    if overlaps:
        raise UserError(
            "problems to train on are problems to test on: " + "; ".join(overlaps) + "; take them out of the training files"
        )
