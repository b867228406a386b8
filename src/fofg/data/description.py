"""What is in the datasets: levels, sizes, exposure by function, and how far files overlap."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from fofg.data.files import count_rows, cure, read_batches, read_rows, write_json
from fofg.data.schemas import PROBLEMS
from fofg.errors import UserError
from fofg.tasks.task import Problem
from fofg.tasks.task import read as read_problem

#: What is read of a problem file: not the prompts, which are most of it.
COLUMNS = pa.schema([PROBLEMS.field(name) for name in ("data_source", "reward_model", "extra_info")])
_NUMBERS = ("level", "depth", "calls")

Paths = Mapping[str, str | os.PathLike]


@dataclass(frozen=True)
class Contents:
    """One problem file. ``numbers``: a row per problem, with level, depth, calls and the lengths of input and output.

    ``problems`` [rows] uint64: hashes of (question, input); ``distinct`` and ``inputs``: those of problems and of inputs, sorted,
    each once. ``used`` and ``called``: skill -> problems that use it, and how often they do; ``skills``: names for tables.
    """

    numbers: pa.Table
    problems: np.ndarray
    distinct: np.ndarray
    inputs: np.ndarray
    used: Counter
    called: Counter
    skills: dict[str, str]


def describe(files: Paths, outputs: Paths, disjoint: bool) -> None:
    """Writes a description (JSON) of each dataset.

    ``files``: dataset/split -> problem file (schemas.PROBLEMS); ``outputs``: dataset -> JSON file. Hashes and numbers alone
    are in memory. Raises UserError if a file is bad or a name without its counterpart, or if a problem to train on is one to test
    on, anywhere, where ``disjoint`` forbids it.
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
    """A problem file's contents. Raises UserError if it is bad."""
    numbers: list[pa.Table] = []
    problems: list[int] = []
    inputs: list[int] = []
    used: Counter[str] = Counter()
    called: Counter[str] = Counter()
    skills: dict[str, str] = {}
    first = 0
    for batch in read_batches(path, COLUMNS):
        lengths = []
        for number, row in enumerate(batch.to_pylist(), first):
            task, problem = read_problem(row, f"{path}: row {number}")
            lengths.append((len(problem.input), len(problem.output)))
            inputs.append(_hash(problem.input))
            problems.append(_hash(f"{problem.question}\n{problem.input}"))
            counts = task.count_skills(problem)
            called.update(counts)
            used.update(counts.keys())
            skills |= task.skills
        info = batch.column("extra_info")
        columns = {name: info.field(name) for name in _NUMBERS}
        columns |= {name: pa.array(values, pa.int32()) for name, values in zip(("input", "output"), zip(*lengths))}
        numbers.append(pa.table(columns))
        first += batch.num_rows
        bar.update(batch.num_rows)
    if not first:
        raise UserError(f"{path}: holds no problem; {cure(path)}")
    hashes = np.array(problems, np.uint64)
    return Contents(
        pa.concat_tables(numbers), hashes, np.unique(hashes), np.unique(np.array(inputs, np.uint64)), used, called, skills
    )


def trained_on(test: str | os.PathLike, train: str | os.PathLike) -> set[int]:
    """Return the row numbers of test problems that are training problems: the same question and input.

    Raises UserError if a file is missing or damaged.
    """
    rows: dict[tuple[str, str], list[int]] = {}
    for row, problem in enumerate(_problems(test)):
        rows.setdefault((problem.question, problem.input), []).append(row)
    return {row for problem in _problems(train) for row in rows.get((problem.question, problem.input), ())}


def _problems(path: str | os.PathLike) -> Iterator[Problem]:
    for number, row in enumerate(read_rows(path, COLUMNS)):
        yield read_problem(row, f"{path}: row {number}")[1]


def summarize(name: str, contents: Mapping[str, Contents]) -> dict:
    """The description of one file among all: counts, ranges, exposure by function, overlap with every other file."""
    here = contents[name]
    levels = here.numbers.group_by("level", use_threads=False).aggregate(
        [([], "count_all"), *((column, kind) for column in ("depth", "calls") for kind in ("min", "mean", "max"))]
    )
    return {
        "rows": here.numbers.num_rows,
        "levels": {
            _name(row["level"]): {"rows": row["count_all"], "depth": _range(row, "depth"), "calls": _range(row, "calls")}
            for row in levels.sort_by("level").to_pylist()
        },
        "input_length": _lengths(here.numbers.column("input")),
        "output_length": _lengths(here.numbers.column("output")),
        "duplicates": len(here.problems) - len(here.distinct),
        "exposure": {
            skill: {"public_name": here.skills.get(skill, skill), "problems": here.used[skill], "calls": here.called[skill]}
            for skill in [*here.skills, *sorted(here.used.keys() - here.skills.keys())]
        },
        "overlap": {
            other: {
                "problems": _shared(here.distinct, there.distinct),
                "inputs": _shared(here.inputs, there.inputs),
            }
            for other, there in contents.items()
            if other != name
        },
    }


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _shared(these: np.ndarray, those: np.ndarray) -> int:
    """Number of hashes that two sorted arrays of distinct ones have in common."""
    few, many = sorted((these, those), key=len)
    at = np.searchsorted(many, few)
    return int(np.count_nonzero(many[np.minimum(at, len(many) - 1)] == few))


def _name(level: int | None) -> str:
    return "unknown" if level is None else str(level)


def _range(row: dict, column: str) -> dict:
    return {kind: row[f"{column}_{kind}"] for kind in ("min", "mean", "max")}


def _lengths(column: pa.ChunkedArray) -> dict:
    values = column.to_numpy()
    return {"min": int(values.min()), "mean": float(values.mean()), "max": int(values.max())}


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
    found = []
    for train in (name for name in files if name.endswith("/train")):
        for test in (name for name in files if name.endswith("/test")):
            shared = np.flatnonzero(np.isin(contents[train].problems, contents[test].problems))
            if len(shared):
                rows = ", ".join(map(str, shared[:5].tolist()))
                found.append(f"{len(shared)} of {files[train]} are in {files[test]} (rows {rows}{' ...' * (len(shared) > 5)})")
    if found:
        raise UserError(
            "problems to train on are problems to test on: " + "; ".join(found) + "; take them out of the training files"
        )
