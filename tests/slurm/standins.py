"""Engines of training that run on several nodes without GPUs: all of engine verl that starts programs there is real.

``sft``: verl's own trainer with FSDP, on CPUs. ``rl``: a Ray cluster as verl's trainer gets it, in which a program of a few tasks
stands for the trainer; the model goes out as it came in. What they leave open: NCCL, vLLM, and verl's trainer of reinforcement
learning, on several nodes.
"""

import json
import sys
from pathlib import Path

from fofg.config import VerlConfig
from fofg.runtime import ray_cluster, subprocesses
from fofg.training import modeling
from fofg.training.verl import grpo, settings
from fofg.training.verl import sft as fine_tuning

HERE = Path(__file__).parent
SETTINGS = {"tokens_per_gpu": 1024, "offload": False, "attention": "sdpa", "fused_kernels": False, "liger": False}
SETTINGS |= {"gradient_checkpointing": True, "enforce_eager": True, "torch_compile": False}
VERL = VerlConfig(**SETTINGS, tensor_parallel_size=1, gpu_memory_utilization=0.5)


def sft(micro_batch_size: int, **given) -> None:
    """Engine verl on CPUs."""
    sys.path.insert(0, str(HERE.parent / "engines"))
    import verl_on_cpu

    verl_on_cpu.use()
    fine_tuning.train(**given, verl=VERL)


def rl(spec, model, output, state, gpus: int, nodes: int, threads: int, **given) -> None:
    """Runs ``ray_tasks.py`` where verl's trainer would run, and records what it found."""
    folder = Path(state).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    place = settings.LaunchConfig(gpus, nodes, threads, folder, 1, Path(model), None)
    found, log = folder / "found.json", folder / "ray.log"
    command = [*grpo._cluster(place), sys.executable, str(HERE / "ray_tasks.py"), str(found)]
    if code := subprocesses.run(command, log, ray_cluster.environment()):
        raise subprocesses.failure(log, code, "the program")
    steps = [{"step": step, **one} for step, one in enumerate(json.loads(found.read_text()), 1)]
    modeling.save(modeling.load(Path(model), max_length=0), Path(model), Path(output), steps, spec.model_dump(mode="json"))
