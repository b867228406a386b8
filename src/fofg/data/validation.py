"""Sample the held-out problems that a reinforcement learning run is validated on."""

from fofg.data import datasets
from fofg.errors import UserError
from fofg.specs import ValidationSpec


def sample(validation: ValidationSpec) -> list[dict]:
    """Return the first ``validation.problems`` rows of each level (fofg.data.schemas.PROBLEMS), in order; none if it is off.

    Raises UserError if a level has too few problems, or as ``datasets.batches`` does.
    """
    if not validation.every:
        return []
    lowest, highest = validation.levels
    chosen: dict[int, list[dict]] = {level: [] for level in range(lowest, highest + 1)}
    for batch in datasets.batches(validation.source):
        for row in batch.to_pylist():
            level = row["extra_info"]["level"]
            if level in chosen and len(chosen[level]) < validation.problems:
                chosen[level].append(row)
    for level, rows in chosen.items():
        if len(rows) < validation.problems:
            raise UserError(
                f"stage2.rl.validation: datasets.{validation.dataset}.test gives {len(rows)} problems of level {level}, fewer than "
                f"problems: {validation.problems}; lower it, or change levels or dataset"
            )
    return [row for rows in chosen.values() for row in rows]
