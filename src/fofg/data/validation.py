"""Sample, or read, the held-out problems that a reinforcement learning run is validated on."""

from collections.abc import Iterator

from fofg.data import datasets
from fofg.data.reading import problem_rows
from fofg.errors import UserError
from fofg.specs import ProblemsSpec, ValidationSpec


def sample(validation: ValidationSpec) -> list[dict]:
    """Return the first ``validation.problems`` rows of each level (fofg.data.schemas.PROBLEMS), in order; none if it is off.

    Raises UserError if a level has too few problems, or as ``datasets.batches`` does.
    """
    if not validation.every:
        return []
    lowest, highest = validation.levels
    chosen: dict[int, list[dict]] = {level: [] for level in range(lowest, highest + 1)}
    for row in _rows(validation.source):
        level = row["extra_info"]["level"]
        if level in chosen and len(chosen[level]) < validation.problems:
            chosen[level].append(row)
    own = isinstance(validation.source, str)
    name = validation.source if own else f"datasets.{validation.dataset}.test"
    for level, rows in chosen.items():
        if len(rows) < validation.problems:
            raise UserError(
                f"stage2.rl.validation: {name} gives {len(rows)} problems of level {level}, fewer than problems: "
                f"{validation.problems}; lower it, or change levels or {'use.validation_problems' if own else 'dataset'}"
            )
    return [row for rows in chosen.values() for row in rows]


def _rows(source: ProblemsSpec | str) -> Iterator[dict]:
    if isinstance(source, str):
        return problem_rows(source)
    return (row for batch in datasets.batches(source) for row in batch.to_pylist())
