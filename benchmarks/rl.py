"""Measure reinforcement learning: CPU seconds per step and peak memory at the default size, one thread.

Each step samples 8 responses to each of 32 problems of Level 1, drops groups of equal rewards, and makes one update from the rest.
The last line on standard output is one JSON object.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded

from fofg.config import DEFAULT, GRPOConfig, load, read
from fofg.data import datasets
from fofg.specs import RLSpec, part, problems
from fofg.training import grpo, metrics

ROOT = Path(__file__).parents[1]
PROMPTS, SAMPLES = 32, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    model = ROOT / "checkpoints/string-task/stage1-rft"
    parser.add_argument("--model", type=Path, default=model, help="folder of a Stage-1 model (default: that of the default run)")
    parser.add_argument("--steps", type=int, default=3, help="steps (default: 3)")
    parser.add_argument("--micro-batch-size", type=int, default=8, help="sequences trained on at once (default: 8)")
    options = parser.parse_args()
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
    figures = {
        "steps": options.steps,
        "load_average": round(os.getloadavg()[0], 1),
        "cpu_seconds_per_step": round(seconds / options.steps, 2),
        "response_tokens_per_cpu_second": round(tokens / seconds),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
