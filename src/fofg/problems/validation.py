"""Choose the held-out problems that reinforcement learning is measured on while it trains."""

import os

from fofg.errors import UserError
from fofg.files import read_rows, write_parquet
from fofg.schemas import PROBLEMS
from fofg.stages import SelectValidation


def select(spec: SelectValidation, problems: str | os.PathLike | None, output: str | os.PathLike) -> int:
    """Write the first ``spec.problems`` rows of each level (fofg.schemas.PROBLEMS) and return the number of rows.

    ``problems``: the file to choose from; None if there is no validation, which leaves the output without rows. Raises UserError if
    the file is bad or a level has too few problems.
    """
    lowest, highest = spec.levels
    chosen: dict[int, list[dict]] = {level: [] for level in range(lowest, highest + 1)}
    for row in read_rows(problems, PROBLEMS) if problems else ():
        level = row["extra_info"]["level"]
        if level in chosen and len(chosen[level]) < spec.problems:
            chosen[level].append(row)
    for level, rows in chosen.items():
        if problems and len(rows) < spec.problems:
            raise UserError(
                f"stage2.rl.validation: {problems} has {len(rows)} problems of level {level}, fewer than problems: "
                f"{spec.problems}; lower it, or change levels or dataset"
            )
    return write_parquet(output, PROBLEMS, list(chosen.values()))
