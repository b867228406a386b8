"""Measure training of a model of 8 billion parameters on the GPUs of this machine, with the settings of config/paper.yaml.

    python benchmarks/large_model.py stage1 --folder /scratch --steps 20
    python benchmarks/large_model.py sft --folder /scratch
    python benchmarks/large_model.py rl --folder /scratch --kill
    python benchmarks/large_model.py rl --folder /scratch --mean-tokens 2500 --card-memory 79 --measure-only

The model has random weights (random_model.py): nothing is downloaded, and nothing is learned. What differs from paper.yaml: fewer
problems and steps, and a checkpoint after every step (of all of Stage 1 in the middle and at the end). With --kill, all processes
get SIGKILL after the first checkpoint, and the same command runs again. With --card-memory, this program itself takes the memory
of each GPU that a smaller card lacks. The last line, JSON, has verl's own times and rates of each step, the seconds from each start
to the end of its first step and to its first checkpoint, and the seconds of each job that has finished.
"""

import argparse
import json
import math
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import random_model
import torch
import yaml
from measuring import parser, report
from watching import Watch, job_seconds

from fofg.config import DEFAULT, load, read
from fofg.data.files import write_parquet
from fofg.data.schemas import EXAMPLES
from fofg.runtime import gpus, processes, ray_cluster

ROOT = Path(__file__).parents[1]
GIB = 2**30
MODELS = {"stage1": "stage1-rft", "sft": "stage1-rft", "rl": "stage2-rl-level2"}
#: With 10 responses each, half of them correct, a little more than 128 examples.
PROBLEMS_PER_STEP = 28
#: Bytes of the model.
SIZES = {"8b": 16.1e9, "small": 1e6}


def main() -> None:
    options = arguments()
    folder = options.folder.absolute() / "fofg-large-model"
    model, run = folder / f"model-{options.shape}-{options.mean_tokens}", folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    check_space(options, model)
    if not (model / "config.json").exists():
        print(f"writing a model of shape {options.shape} to {model}", file=sys.stderr, flush=True)
        random_model.write(model, options.shape, options.mean_tokens)
    (folder / "overlay.yaml").write_text(yaml.safe_dump(overlay(options, model, run)), encoding="utf-8")
    if options.stage == "stage1":
        write_problems(folder / "problems.jsonl", PROBLEMS_PER_STEP * options.planned)
    if options.stage == "sft":
        write_examples(folder / "examples", 128 * options.planned, options.mean_tokens)
    processes.adopt_orphans()
    _held = hold_memory(options.card_memory) if options.card_memory else []  # until this program ends
    watch, starts, error = Watch(run / "checkpoints/string-task/.resume" / MODELS[options.stage]), [], None
    for kill in (True, False) if options.kill else (False,):
        start, error = train(options, folder, watch, kill)
        starts.append(start)
        if error:
            break
    output = run / "checkpoints/string-task" / MODELS[options.stage]
    report(
        "large_model",
        stage=options.stage,
        gpus=options.gpus,
        device=watch.device,
        starts=starts,
        steps=[{"step": step} | watch.steps[step] for step in sorted(watch.steps)],
        card_memory_gib=options.card_memory,
        gpu_memory_gib=round(watch.gpu_memory / 1024, 1),
        main_memory_gb=round(watch.main_memory / 1e9, 1),
        checkpoint_gb=round(watch.checkpoint / 1e9, 1),
        jobs=job_seconds(run / "benchmarks/results"),
        weights=sorted(path.name for path in output.glob("*.safetensors")),
        error=error,
    )
    sys.exit(error and 1)


def arguments() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("stage", choices=MODELS, help="all of Stage 1, fine-tuning alone, reinforcement learning")
    options.add_argument("--folder", type=Path, required=True, help="for the model and the run")
    options.add_argument("--gpus", type=int, default=len(gpus.visible()), help="default: all")
    options.add_argument("--steps", type=int, default=2, help="of training (default: 2)")
    options.add_argument("--shape", choices=random_model.SHAPES, default="8b", help="default: 8b, that of Llama-3.1-8B")
    options.add_argument("--mean-tokens", type=int, default=450, help="mean length of a response (default: 450)")
    options.add_argument("--prompts", type=int, default=32, help="prompts drawn at once, twice those trained on (default: 32)")
    options.add_argument("--card-memory", type=float, metavar="GIB", help="use no more of each GPU: about 79 on a card of 80 GB")
    options.add_argument("--measure-only", action="store_true", help="stop after the last step, without writing the new model")
    options.add_argument("--kill", action="store_true", help="kill all processes after the first checkpoint, and resume")
    options.add_argument("--config", type=Path, nargs="+", default=[], metavar="FILE", help="further overlays of the configuration")
    given = options.parse_args()
    # verl saves after its last step, so plan one more step and stop before it.
    given.planned = given.steps + given.measure_only
    if given.shape == "8b" and not given.gpus:
        options.error("no GPU is visible (nvidia-smi, CUDA_VISIBLE_DEVICES)")
    if given.card_memory is not None and not (gpus.visible() and given.card_memory > 0):
        options.error("--card-memory must be above 0, and needs a GPU")
    if given.steps < 1 or given.mean_tokens < 1 or given.prompts < 2:
        options.error("--steps and --mean-tokens are at least 1, --prompts at least 2")
    return given


def interval(options: argparse.Namespace) -> int:
    """Return the steps from one checkpoint to the next."""
    if options.measure_only and not options.kill:
        return options.planned
    return options.planned // 2 + 1 if options.stage == "stage1" else 1


def check_space(options: argparse.Namespace, model: Path) -> None:
    """Exit if the disk of the folder lacks space for what is not there yet."""
    options.folder.mkdir(parents=True, exist_ok=True)
    saves = 0 if options.measure_only and not options.kill else min(3, math.ceil(options.planned / interval(options)))
    # A checkpoint takes as much as six models; two are kept while a third is written. The new model is merged, then converted.
    models = 3 + 6 * saves - (model / "config.json").exists()
    free, needed = shutil.disk_usage(options.folder).free, SIZES[options.shape] * models
    if free < needed:
        sys.exit(f"error: {options.folder}: {free / 1e9:.0f} GB are free, {needed / 1e9:.0f} are needed; set --folder")


def overlay(options: argparse.Namespace, model: Path, run: Path) -> dict:
    """Return what differs from paper.yaml."""
    save_every = interval(options)
    steps = {"level1": 1, "level2": options.planned, "level1to2": 1}
    curricula = {name: [{"steps": count, "mixture": {f"stage2_{name}": 1}}] for name, count in steps.items()}
    counts = {"stage1_level1": 64, "stage2_level1": 64, "stage2_level2": 1024, "stage2_level1to2": 64}
    drawn = {"generation_prompts": options.prompts, "prompts_per_step": options.prompts // 2}
    own = {
        "stage1": {"stage1_problems": str(model.parent / "problems.jsonl")},
        "sft": {"stage1_rft_data": str(model.parent / "examples")},
        "rl": {"stage1_checkpoint": str(model)},
    }
    return {
        "run_dir": str(run),
        "base_model": str(model),
        "use": own[options.stage],
        "datasets": {name: {"train": rows} for name, rows in counts.items()} | {"stage2_level1to8": {"test": 128}},
        "scoring": {"scheme": "published_code"},  # responses without an answer get less than those with a wrong one
        "stage1": {"sft": {"epochs": 1}},
        "stage2": {
            "rft": {"num_iterations": 1, "examples_per_iteration": 16},
            "rl": {"curricula": curricula, "mini_batch_prompts": options.prompts // 2, "validation": {"every": 0}} | drawn,
        },
        "rollout_engine": {"shard_size": math.ceil(PROBLEMS_PER_STEP * options.planned / max(options.gpus, 1))},
        "training": {"gpus": options.gpus, "save_every": save_every, "rl_save_every": save_every, "max_save_share": 1.0}
        | ({"verl": {"gpu_memory_utilization": rollout_share(options.card_memory)}} if options.card_memory else {}),
    }


def write_problems(path: Path, rows: int) -> None:
    """Write problems whose answer is the one that the model gives in half of its responses."""
    truths = [{"ref_input": f"text{row}", "ref_output": "abc", "expression": "func_7(x)"} for row in range(rows)]
    prompts = [[{"role": "user", "content": f"{row}: " + "What? " * 30}] for row in range(rows)]
    lines = [
        {"data_source": "string_task", "prompt": prompt, "reward_model": {"style": "rule", "ground_truth": json.dumps(truth)}}
        for prompt, truth in zip(prompts, truths, strict=True)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


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


def hold_memory(card_memory: float) -> list[torch.Tensor]:
    """Take all but ``card_memory`` GiB of each visible GPU, and return what takes it."""
    free = [torch.cuda.mem_get_info(number)[0] for number in range(torch.cuda.device_count())]
    sizes = [max(0, size - int(card_memory * GIB)) for size in free]
    return [torch.empty(size, dtype=torch.uint8, device=f"cuda:{number}") for number, size in enumerate(sizes)]


def rollout_share(card_memory: float) -> float:
    """Return the share of a whole GPU's memory for vLLM that is as much as paper.yaml's share of a card of ``card_memory`` GiB."""
    share = load(read([DEFAULT, ROOT / "config/paper.yaml"])).training.verl.gpu_memory_utilization
    return round(share * min(1.0, card_memory * GIB / torch.cuda.mem_get_info(0)[1]), 4)


def train(options: argparse.Namespace, folder: Path, watch: Watch, kill: bool) -> tuple[dict[str, float], str | None]:
    """Run the workflow until the model is trained, or kill it after its first checkpoint; return times, and an error."""
    model = folder / "run/checkpoints/string-task" / MODELS[options.stage] / "config.json"
    target = "stage1_rft" if options.stage == "stage1" else model
    overlays = [ROOT / "config/paper.yaml", folder / "overlay.yaml", *(path.absolute() for path in options.config)]
    command = [sys.executable, "-m", "snakemake", target, "--cores", "all", "--configfile", *overlays]
    known, saved, began, times = set(watch.steps), watch.saved(), time.monotonic(), {}
    with subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=sys.stderr) as process:
        try:
            while process.poll() is None:
                time.sleep(0.5)
                watch.look()
                seconds = round(time.monotonic() - began, 1)
                if watch.steps.keys() - known:
                    times.setdefault("first_step_seconds", seconds)
                if watch.saved() > saved:
                    times.setdefault("first_checkpoint_seconds", seconds)
                if kill and len(times) == 2:  # in reinforcement learning, verl writes the step's times after its checkpoint
                    break
                if options.measure_only and not kill and max(watch.steps.keys() - known, default=0) >= options.steps:
                    return times, None
        finally:
            processes.end_descendants()
            ray_cluster.remove_left_folders()
    watch.look()  # a step that was written just before the end is not one of the next start
    if kill:
        return times, None if "first_checkpoint_seconds" in times else "the run ended before it could be killed"
    return times, f"the run failed; its logs are in {folder / 'run/logs'}" if process.returncode else None


if __name__ == "__main__":
    main()
