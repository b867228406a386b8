"""Measure supervised fine-tuning: CPU seconds per step and peak memory at the default size, one thread.

Trains on the first examples of the default run's Stage 1.
"""

import os
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded

import pyarrow.parquet as pq
from measuring import parser, peak_bytes, report

from fofg.config import DEFAULT, load, read
from fofg.specs import SFTSpec
from fofg.training import metrics, sft

ROOT = Path(__file__).parents[1]


def main() -> None:
    arguments = parser(__doc__)
    data = ROOT / "data/string_task/stage1_level1/rft_data"
    arguments.add_argument("--model", type=Path, default=ROOT / "checkpoints/base", help="default: that of the default run")
    arguments.add_argument("--data", type=Path, default=data, help="folder with train.parquet (default: that of the default run)")
    arguments.add_argument("--steps", type=int, default=10, help="steps (default: 10)")
    arguments.add_argument("--micro-batch-size", type=int, default=4, help="sequences trained on at once (default: 4)")
    options = arguments.parse_args()
    values = read([DEFAULT])
    values["stage1"]["sft"]["epochs"] = 1
    spec = SFTSpec(sft=load(values).stage1.sft)
    with tempfile.TemporaryDirectory(prefix="fofg-sft-") as name:
        folder = Path(name)
        table = pq.read_table(options.data / "train.parquet")
        pq.write_table(table.slice(0, options.steps * spec.sft.batch_size), folder / "train.parquet")
        pq.write_table(table.slice(0, 0), folder / "test.parquet")
        files = folder / "train.parquet", folder / "test.parquet"
        start = time.process_time()
        sft.train(spec, options.model, *files, folder / "out", folder / "state", options.micro_batch_size, save_every=20, threads=1)
        seconds, records = time.process_time() - start, metrics.read(folder / "out/metrics.jsonl")
    report(
        "sft",
        steps=records[-1]["step"],
        cpu_seconds_per_step=round(seconds / records[-1]["step"], 2),
        tokens_per_cpu_second=round(records[-1]["tokens"] / seconds),
        peak_bytes=peak_bytes(),
    )


if __name__ == "__main__":
    main()
