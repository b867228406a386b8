"""Sample problems with the package reasoning-gym: integers from 1 to 100, targets from 1 to 999.

A problem is its target and its integers in any order. A hash of it decides whether it belongs to the test or the training side of
all datasets, so the two never share one.
"""

import sys
from collections.abc import Iterator
from hashlib import blake2b
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from types import ModuleType
from typing import Any

from fofg.config.countdown import MAX_LEVEL, TRAINED_LEVEL
from fofg.config.stage1 import COUNTDOWN
from fofg.errors import UserError
from fofg.tasks.countdown.grading import Goal
from fofg.tasks.task import Split

NUMBERS, TARGETS = (1, 100), (1, 999)
#: Fewest and most integers of a problem; with more, the package rarely finds a target in its range.
LEVELS = (TRAINED_LEVEL, MAX_LEVEL)
#: One in SIDES problems belongs to the test splits.
SIDES = 8
#: Consecutive draws without a new problem after which those of a split count as used up.
PATIENCE = {"train": 50, "test": 5_000}


def side(goal: Goal) -> int:
    """Return the number of a problem's side, 0 to SIDES - 1: those of side 0 are in test splits alone, the others never."""
    return _hash(f"{goal.target} {sorted(goal.numbers)}") % SIDES


def sample(seed: int, split: Split) -> Iterator[tuple[int, Goal, str]]:
    """Yield level, problem and a solution, level by level.

    Problems of a level depend on ``seed``, level and split alone, and the first ones stay the same when more are drawn. None
    repeats in a test split. A training split repeats none before it has about nine tenths of all there are, then it starts over, in
    another order: of 2 integers there are 10,468, of more integers, more than anyone draws. Raises UserError for a level out of
    LEVELS, or if a test split has no further problem.
    """
    for level, rows in split.shares:
        if not LEVELS[0] <= level <= LEVELS[1]:
            raise UserError(f"{_key(split)}levels: {level}, but problems have {LEVELS[0]} to {LEVELS[1]} integers")
        drawn = _draw(_hash(f"{seed} {split.split} {level}"), level)
        seen: set[tuple] = set()
        for number in range(rows):
            goal, solution = _next(drawn, seen, split.split == "test")
            if goal is None and split.split == "train":
                seen.clear()
                goal, solution = _next(drawn, seen, False)
            if goal is None:
                raise UserError(f"{_key(split)}test: only {number} test problems of {level} integers; lower it")
            yield level, goal, solution


def _key(split: Split) -> str:
    """Return the section of the configuration that a split is from, with its dot."""
    return "countdown." if split.dataset == COUNTDOWN else f"datasets.{split.dataset}."


def _next(drawn: Iterator[tuple[Goal, str]], seen: set[tuple], test: bool) -> tuple[Goal | None, str]:
    """Return a new problem of a side with its solution, or None."""
    misses = 0
    for goal, solution in drawn:
        if (side(goal) == 0) != test:
            continue
        if (key := (goal.target, *sorted(goal.numbers))) not in seen:
            seen.add(key)
            return goal, solution
        misses += 1
        if misses == PATIENCE["test" if test else "train"]:
            break
    return None, ""


def _draw(seed: int, level: int) -> Iterator[tuple[Goal, str]]:
    """Yield reasoning-gym's problems and their solutions, endlessly."""
    module = _countdown()
    bounds = dict(zip(("min_value", "max_value", "min_target", "max_target"), (*NUMBERS, *TARGETS)))
    settings = module.CountdownConfig(min_numbers=level, max_numbers=level, seed=seed, **bounds)
    dataset = module.CountdownDataset(settings)
    for index in count():
        try:
            entry = dataset[index]
        except ValueError:
            continue  # the package gives up on an index after 100 tries
        yield Goal(entry["metadata"]["target"], tuple(entry["metadata"]["numbers"])), entry["answer"]


def package_folder() -> str:
    """Return the folder of reasoning-gym. Raises UserError if the package is missing."""
    spec = find_spec("reasoning_gym")
    if spec is None or spec.submodule_search_locations is None:
        raise UserError("Countdown problems come from reasoning-gym; install it: pip install --no-deps -r envs/countdown.txt")
    (folder,) = spec.submodule_search_locations
    return folder


def _countdown() -> Any:
    """Import reasoning-gym's module of Countdown alone.

    The package's own ``__init__`` imports all of its tasks, which takes a second, and ten packages that Countdown does not need.
    """
    name, folder = "reasoning_gym", package_folder()
    bare = {package: ModuleType(package) for package in (name, f"{name}.games")}
    for package, module in bare.items():
        module.__path__ = [folder + package.removeprefix(name).replace(".", "/")]
    others = {package: sys.modules[package] for package in bare if package in sys.modules}
    sys.modules.update(bare)
    try:
        return import_module(f"{name}.games.countdown")
    finally:
        for package in bare:
            del sys.modules[package]
        sys.modules.update(others)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest())
