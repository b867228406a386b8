"""Read and write ``metrics.jsonl``, the records of a training run."""

import json
from pathlib import Path

from fofg.data.files import write_text
from fofg.errors import UserError

Record = dict[str, float]


def write(path: Path, records: list[Record]) -> None:
    """Write one line per record."""
    write_text(path, "".join(json.dumps(record) + "\n" for record in records))


def read(path: str | Path) -> list[Record]:
    """Read a metrics file. Raises UserError if it is missing or damaged."""
    try:
        records = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
        if not all(isinstance(record, dict) and isinstance(record.get("step"), int) for record in records):
            raise ValueError("a line without a step")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no metrics of a training run ({error}); train again") from None
    return records


def running_tokens(records: list[Record], tokens: int) -> Record:
    """Return the tokens trained on up to a step, its own ``tokens`` included, as a metric; none if the step before lacks it."""
    if not records or not records[-1]["step"]:
        return {"tokens": tokens}
    return {"tokens": int(records[-1]["tokens"]) + tokens} if "tokens" in records[-1] else {}


def arithmetic_seconds(records: list[Record]) -> float:
    """Return the time in which the model computed: rollouts, updates and validation of RL, or the whole loop of fine-tuning."""
    parts = ("seconds_generation", "seconds_training", "seconds_validation")
    return sum(record.get(part, 0.0) for record in records for part in parts) or records[-1]["seconds"]


def thin(records: list[Record], every: int) -> list[Record]:
    """Keep one record per ``every`` steps (and the last), with the mean loss of those steps and the last one's other values.

    The record of step 0 and those with a test loss are all kept.
    """
    result, losses = [], []
    for index, record in enumerate(records):
        if "loss" in record:
            losses.append(record["loss"])
        if record["step"] % every == 0 or "test_loss" in record or index == len(records) - 1:
            result.append(record | ({"loss": sum(losses) / len(losses)} if losses else {}))
            losses = []
    return result
