"""Measure reinforcement learning: CPU seconds per step and peak memory at the default size, one thread.

Each step samples 8 responses to each of 32 Level-1 problems, drops groups with equal rewards, and makes one update from the rest.
"""

import os
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded

from measuring import parser, peak_bytes, report

from fofg.config import DEFAULT, GRPOConfig, load, read
from fofg.data import datasets
from fofg.specs import RLSpec, part, problems
from fofg.training import grpo, metrics

ROOT = Path(__file__).parents[1]
PROMPTS, SAMPLES = 32, 8


def main() -> None:
    arguments = parser(__doc__)
    model = ROOT / "checkpoints/string-task/stage1-rft"
    arguments.add_argument("--model", type=Path, default=model, help="folder of a Stage-1 model (default: that of the default run)")
    arguments.add_argument("--steps", type=int, default=3, help="steps (default: 3)")
    arguments.add_argument("--micro-batch-size", type=int, default=8, help="sequences trained on at once (default: 8)")
    options = arguments.parse_args()
    values = read([DEFAULT])
    rl = values["stage2"]["rl"]
    rl |= {"curricula": {"level1": [{"steps": options.steps, "mixture": {"stage2_level1": 1}}]}, "max_generation_batches": 1}
    rl |= {"generation_prompts": PROMPTS, "prompts_per_step": PROMPTS, "mini_batch_prompts": PROMPTS}
    rl["rollouts"]["samples"] = SAMPLES
    values["passk"]["models"] = ["base"]
    settings = load(values)
    with tempfile.TemporaryDirectory(prefix="fofg-rl-") as name:
        folder = Path(name)
        datasets.write(folder / "problems.parquet", problems(settings, "stage2_level1", "train"))
        rl = settings.stage2.rl
        spec = RLSpec(rl=part(GRPOConfig, rl), phases=rl.curricula["level1"], scoring=settings.scoring)
        data = {"stage2_level1": folder / "problems.parquet"}
        start = time.process_time()
        grpo.train(
            spec,
            options.model,
            data,
            [],
            folder / "out",
            folder / "state",
            options.micro_batch_size,
            batch_size=settings.rollout_engine.batch_size,
            save_every=options.steps,
            on_empty_step="skip",
            on_incomplete_step="train",
            threads=1,
        )
        seconds, records = time.process_time() - start, metrics.read(folder / "out/metrics.jsonl")
    tokens = sum(record["response_length"] * record["prompts"] * SAMPLES for record in records)
    report(
        "rl",
        steps=options.steps,
        cpu_seconds_per_step=round(seconds / options.steps, 2),
        response_tokens_per_cpu_second=round(tokens / seconds),
        peak_bytes=peak_bytes(),
    )


if __name__ == "__main__":
    main()
