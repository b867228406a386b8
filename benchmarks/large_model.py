"""Measure training of a model of 8 billion parameters on the GPUs of this machine, with the settings of config/paper.yaml.

    python benchmarks/large_model.py sft --folder /scratch/large
    python benchmarks/large_model.py rl --folder /scratch/large --kill
    python benchmarks/large_model.py rl --folder /scratch/long --mean-tokens 4000 --prompts 8

The model has random weights (random_model.py): nothing is downloaded, and nothing is learned. What differs from paper.yaml: fewer
problems and steps, and a checkpoint after every step. With --kill, all processes get SIGKILL after the first checkpoint, and the
same command runs again. The folder needs 250 GB at that size: the model, two checkpoints, and what is merged. The last line has
verl's own times and rates of each step; first_step_seconds count from each start to the end of its first step.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import random_model
import yaml
from measuring import parser, report

from fofg.data.files import write_parquet
from fofg.data.schemas import EXAMPLES
from fofg.runtime import gpus
from fofg.training.verl.protocol import last_step

ROOT = Path(__file__).parents[1]
MODELS = {"sft": "stage1-rft", "rl": "stage2-rl-level2"}
#: Metrics of verl that are times and rates.
FIGURES = ("timing_s/", "perf/", "train/")


def main() -> None:
    options = arguments()
    folder = options.folder.absolute()
    model, run = folder / f"model-{options.shape}-{options.mean_tokens}", folder / "run"
    if not (model / "config.json").exists():
        print(f"writing a model of shape {options.shape} to {model}", file=sys.stderr, flush=True)
        random_model.write(model, options.shape, options.mean_tokens)
    shutil.rmtree(run, ignore_errors=True)
    (folder / "overlay.yaml").write_text(yaml.safe_dump(overlay(options, model, run)), encoding="utf-8")
    if options.stage == "sft":
        write_examples(folder / "examples", 128 * options.steps, options.mean_tokens)
    watch = Watch(run / "checkpoints/string-task/.resume" / MODELS[options.stage])
    starts = [train(options, folder, watch, kill=options.kill)]
    if options.kill:
        starts.append(train(options, folder, watch, kill=False))
    watch.end.set()
    output = run / "checkpoints/string-task" / MODELS[options.stage]
    report(
        "large_model",
        stage=options.stage,
        gpus=options.gpus,
        device=watch.device,
        killed=options.kill,
        first_step_seconds=starts,
        steps=[{"step": step} | watch.steps[step] for step in sorted(watch.steps)],
        gpu_memory_gib=round(watch.gpu_memory / 1024, 1),
        main_memory_gb=round(watch.main_memory / 1e9, 1),
        checkpoint_gb=round(watch.checkpoint / 1e9, 1),
        weights=sorted(path.name for path in output.glob("*.safetensors")),
    )


def arguments() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("stage", choices=MODELS, help="fine-tuning, or reinforcement learning")
    options.add_argument("--folder", type=Path, required=True, help="for the model and the run")
    options.add_argument("--gpus", type=int, default=len(gpus.visible()), help="default: all")
    options.add_argument("--steps", type=int, default=2, help="default: 2")
    options.add_argument("--shape", choices=random_model.SHAPES, default="8b", help="default: 8b, that of Llama-3.1-8B")
    options.add_argument("--mean-tokens", type=int, default=450, help="mean length of a response (default: 450)")
    options.add_argument("--prompts", type=int, default=32, help="prompts drawn at once, twice those trained on (default: 32)")
    options.add_argument("--kill", action="store_true", help="kill all processes after the first checkpoint, and resume")
    options.add_argument("--config", type=Path, nargs="+", default=[], metavar="FILE", help="further overlays of the configuration")
    return options.parse_args()


def overlay(options: argparse.Namespace, model: Path, run: Path) -> dict:
    """Return what differs from paper.yaml."""
    steps = {"level1": 1, "level2": options.steps, "level1to2": 1}
    curricula = {name: [{"steps": count, "mixture": {f"stage2_{name}": 1}}] for name, count in steps.items()}
    counts = {"stage1_level1": 64, "stage2_level1": 64, "stage2_level2": 1024, "stage2_level1to2": 64}
    drawn = {"generation_prompts": options.prompts, "prompts_per_step": options.prompts // 2}
    own = {"stage1_rft_data": str(model.parent / "examples")} if options.stage == "sft" else {"stage1_checkpoint": str(model)}
    return {
        "run_dir": str(run),
        "base_model": str(model),
        "use": own,
        "datasets": {name: {"train": rows} for name, rows in counts.items()} | {"stage2_level1to8": {"test": 128}},
        "scoring": {"scheme": "published_code"},  # responses without an answer get less than those with a wrong one
        "stage1": {"sft": {"epochs": 1}},
        "stage2": {
            "rft": {"num_iterations": 1, "examples_per_iteration": 16},
            "rl": {"curricula": curricula, "mini_batch_prompts": options.prompts // 2, "validation": {"every": 0}} | drawn,
        },
        "training": {"gpus": options.gpus, "save_every": 1, "rl_save_every": 1, "max_save_share": 1.0},
    }


def write_examples(folder: Path, rows: int, mean_tokens: int) -> None:
    """Write conversations with as many tokens as characters, of lengths that differ as those of responses do."""
    generator = random.Random(1)

    def example() -> dict:
        length = min(4000, 1 + int(generator.expovariate(1 / mean_tokens)))
        response = "".join(generator.choices("abcdefghij ", k=length)) + random_model.ANSWER
        return {"prompt": [{"role": "user", "content": "What? " * 90}], "response": response}

    folder.mkdir(parents=True, exist_ok=True)
    write_parquet(folder / "train.parquet", EXAMPLES, [[example() for _ in range(rows)]])
    write_parquet(folder / "test.parquet", EXAMPLES, [])


class Watch:
    """What verl writes while it runs, before the run's state is removed, and the machine's memory; sampled from a thread."""

    def __init__(self, state: Path):
        self.state, self.steps, self.end = state, {}, threading.Event()
        self.gpu_memory, self.checkpoint, self.device = 0, 0, "no GPU"
        self.main_memory, self.used_before = 0, psutil.virtual_memory().used
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self) -> None:
        while not self.end.wait(0.5):
            for file in self.state.glob("*/verl.jsonl"):
                self.read(file)
            self.main_memory = max(self.main_memory, psutil.virtual_memory().used - self.used_before)
            self.checkpoint = max([self.checkpoint, *map(size, self.state.glob("*/global_step_*"))])
            if shutil.which("nvidia-smi"):
                query = ["nvidia-smi", "--query-gpu=memory.used,name", "--format=csv,noheader,nounits"]
                rows = [line.split(", ") for line in subprocess.run(query, capture_output=True, text=True).stdout.splitlines()]
                self.gpu_memory, self.device = max([self.gpu_memory, *(int(row[0]) for row in rows)]), rows[0][1]

    def read(self, file: Path) -> None:
        """Keep times and rates of the steps that are in verl's log, but for a last line that is not complete."""
        try:
            lines = file.read_text(encoding="utf-8").split("\n")[:-1]
        except FileNotFoundError:
            return
        for line in map(json.loads, lines):
            figures = {name: round(value, 3) for name, value in line["data"].items() if name.startswith(FIGURES)}
            self.steps.setdefault(line["step"], {}).update(figures)

    def saved(self) -> int:
        """Return the step of the last complete checkpoint."""
        return max([0, *map(last_step, self.state.glob("*"))])


def size(folder: Path) -> int:
    """Return the bytes in a folder whose files may be moved or removed meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def train(options: argparse.Namespace, folder: Path, watch: Watch, kill: bool) -> float | None:
    """Run the workflow until the model is trained, or ``kill`` it after its first checkpoint.

    Return the seconds until the first step's end; None if verl was killed before it wrote of one.
    """
    target = folder / "run/checkpoints/string-task" / MODELS[options.stage] / "config.json"
    overlays = [ROOT / "config/paper.yaml", folder / "overlay.yaml", *options.config]
    command = [sys.executable, "-m", "snakemake", target, "--cores", "all", "--configfile", *overlays]
    began, steps, first = time.monotonic(), len(watch.steps), None
    with subprocess.Popen(list(map(str, command)), cwd=ROOT, start_new_session=True, stdout=sys.stderr) as process:
        while process.poll() is None:
            time.sleep(0.2)
            if first is None and len(watch.steps) > steps:
                first = round(time.monotonic() - began, 1)
            if kill and watch.saved():
                for child in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
                    child.kill()
    if process.returncode and not (kill and process.returncode == -signal.SIGKILL):
        raise SystemExit(f"error: the run failed; its logs are in {folder / 'run/logs'}")
    return first


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
