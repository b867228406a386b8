"""Reinforcement learning: CPU seconds per step and peak memory, against TRL's own GRPO trainer.

Each step samples 8 responses to each of 32 problems of Level 2 and makes one update from them. The library puts its own decoder and
parts of like length around TRL's loss, and drops groups of equal rewards, as dynamic sampling does; TRL as it comes samples with
transformers' ``generate`` and trains on all. Both run with one thread, each in a process of its own; rates are of sampled tokens.
The last line on standard output is one JSON object.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from fofg.config import load
from fofg.data import datasets
from fofg.stages import create_problems, train_rl

ROOT = Path(__file__).parents[1]
PROMPTS, SAMPLES = 32, 8


def spec(steps: int):
    """The default settings, but one draw a step, and as many steps as asked for."""
    values = yaml.safe_load((ROOT / "config/default.yaml").read_text(encoding="utf-8"))
    rl = values["stage2"]["rl"]
    rl |= {"curricula": {"level2": [{"steps": steps, "mixture": {"stage2_level2": 1}}]}, "max_generation_batches": 1}
    rl |= {"generation_prompts": PROMPTS, "prompts_per_step": PROMPTS, "mini_batch_prompts": PROMPTS}
    rl["rollouts"]["samples"] = SAMPLES
    values["passk"]["models"] = ["base"]
    settings = load(values)
    return train_rl(settings, "level2"), create_problems(settings, "stage2_level2", "train")


def ours(model: Path, folder: Path, steps: int, micro_batch_size: int) -> tuple[float, float]:
    """CPU seconds of the steps, and response tokens."""
    from fofg.training import grpo_trl, monitor, networks

    networks.quiet()
    work = networks.Work(folder / "state", micro_batch_size, steps, 1)
    learner = grpo_trl.prepare(spec(steps)[0], model, [folder / "problems.parquet"], work, 128)
    start = time.process_time()
    monitor.run(learner, folder / "state", folder / "tensorboard")
    seconds = time.process_time() - start
    return seconds, sum(record["response_length"] * record["prompts"] * SAMPLES for record in learner.monitor.records)


def trl(model: Path, folder: Path, steps: int, micro_batch_size: int) -> tuple[float, float]:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from fofg.data.files import read_rows
    from fofg.tasks.rewards import compute_score
    from fofg.training import networks

    networks.quiet()
    settings = spec(steps)[0].rl
    rows = [
        {"prompt": row["prompt"], "truth": row["reward_model"]["ground_truth"]} for row in read_rows(folder / "problems.parquet")
    ]

    def reward(completions, truth, **others) -> list[float]:
        return [compute_score("string_task", text[0]["content"], own)["score"] for text, own in zip(completions, truth)]

    arguments = networks.arguments(settings, networks.Work(folder / "state", micro_batch_size, steps, 1))
    config = GRPOConfig(
        **{name: value for name, value in arguments.items() if name != "num_train_epochs"},
        max_steps=steps,
        per_device_train_batch_size=micro_batch_size,
        gradient_accumulation_steps=PROMPTS * SAMPLES // micro_batch_size,
        num_generations=SAMPLES,
        max_completion_length=settings.rollouts.max_response_tokens,
        beta=0.0,
        logging_steps=1,
    )
    trainer = GRPOTrainer(networks.load(model, 0), reward, args=config, train_dataset=Dataset.from_list(rows))
    start = time.process_time()
    trainer.train()
    seconds = time.process_time() - start
    lengths = [record["completions/mean_length"] for record in trainer.state.log_history if "completions/mean_length" in record]
    return seconds, sum(lengths) * PROMPTS * SAMPLES


def measure(way: str, options: argparse.Namespace, folder: Path) -> dict:
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder), "--model", str(options.model)]
    command += ["--steps", str(options.steps), "--micro-batch-size", str(options.micro_batch_size)]
    print(f"measuring: {way}", file=sys.stderr)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    model = ROOT / "checkpoints/string-task/stage1-rft"
    parser.add_argument("--model", type=Path, default=model, help="folder of a Stage-1 model (default: that of the default run)")
    parser.add_argument("--steps", type=int, default=3, help="steps of each (default: 3)")
    parser.add_argument("--micro-batch-size", type=int, default=8, help="sequences trained on at once (default: 8)")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--way", choices=["ours", "trl"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        work = {"ours": ours, "trl": trl}[options.way]
        seconds, tokens = work(options.model, options.folder, options.steps, options.micro_batch_size)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        rates = {"cpu_seconds_a_step": seconds / options.steps, "tokens_a_cpu_second": tokens / seconds}
        return print(json.dumps({**rates, "peak_bytes": peak}))
    found = {}
    for way in ("ours", "trl"):
        with tempfile.TemporaryDirectory(prefix="fofg-rl-") as name:
            datasets.write(Path(name) / "problems.parquet", spec(options.steps)[1])
            found[way] = measure(way, options, Path(name))
    figures = {
        "steps": options.steps,
        "load_average": round(os.getloadavg()[0], 1),
        **{f"{way}_{name}": round(value, 1) for way, values in found.items() for name, value in values.items()},
        "ratio": round(found["ours"]["tokens_a_cpu_second"] / found["trl"]["tokens_a_cpu_second"], 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
