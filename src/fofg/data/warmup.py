"""Write worked examples of the configured task, for the warm-up before Stage 1."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa

from fofg.data.files import in_batches, write_parquet
from fofg.data.schemas import RFT
from fofg.errors import UserError
from fofg.specs import WarmupSpec
from fofg.tasks import task as tasks

#: What fine-tuning reads.
EXAMPLES = pa.schema([RFT.field("prompt"), RFT.field("response")])
_BATCH_ROWS = 2048


def write(spec: WarmupSpec, train: str | Path, test: str | Path) -> None:
    """Write the examples to train on and those for the loss curve. Raises UserError if the task has none."""
    for path, split, rows in ((train, "train", spec.examples), (test, "test", spec.test_rows)):
        write_parquet(path, EXAMPLES, in_batches(islice(_examples(spec, split), rows), _BATCH_ROWS))


def _examples(spec: WarmupSpec, split: str) -> Iterator[dict]:
    task = tasks.load(spec.task)
    if not hasattr(task, "worked_examples"):
        raise UserError(f"stage0.examples: task {task.name} has no worked examples; set 0, or give its class worked_examples")
    for prompt, response in task.worked_examples(spec, spec.template, split):
        yield {"prompt": prompt, "response": response}
