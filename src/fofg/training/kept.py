"""A few problems of each RL step with all their responses, kept beside the model to look at: ``fofg show MODEL --step N``."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from fofg.data.files import in_batches, write_parquet
from fofg.data.schemas import STEP_ROLLOUTS

#: Rows written at a time.
_BATCH = 64


def keep(file: Path, step: int, rows: Sequence[dict]) -> None:
    """Append rows (fofg.data.schemas.ROLLOUTS) of a step to a file that outlasts a kill.

    A step that a resumed run repeats takes the place of the earlier one.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "a", encoding="utf-8") as lines:
        lines.write(f"\n{json.dumps({'step': step, 'rows': rows})}\n")  # the line before may be cut off by a kill


def write(file: Path, output: Path) -> None:
    """Write what is kept as one Parquet file (STEP_ROLLOUTS), by step; no file if nothing is."""
    if steps := dict(_steps(file)):
        rows = ({"step": step, **row} for step in sorted(steps) for row in steps[step])
        write_parquet(output, STEP_ROLLOUTS, in_batches(rows, _BATCH))


def _steps(file: Path) -> Iterator[tuple[int, list[dict]]]:
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            kept = json.loads(line)
        except ValueError:
            continue
        yield kept["step"], kept["rows"]
