"""Reinforcement learning with verl and vLLM, on the GPUs of one or several nodes: GRPO with dynamic sampling (paper §4.1)."""

import math
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, islice
from pathlib import Path

from fofg import models
from fofg.config import GRPOConfig, Phase, Validation, VerlConfig
from fofg.models import model_files
from fofg.runtime import ray_cluster, subprocesses
from fofg.runtime.gpus import compiler_settings
from fofg.runtime.signals import stop_reason
from fofg.specs import RLSpec
from fofg.training import curricula, prompts
from fofg.training.prompts import Prompt
from fofg.training.run import Run, stop_error, training_run
from fofg.training.verl import records, rows, runs, settings
from fofg.training.verl.protocol import KEPT, STOP, last_step

#: Ray reserves a core for each of verl's processes, most of which are idle. With fewer cores, the last ones would wait forever.
PROCESSES = 15


def train(
    spec: RLSpec,
    model: str | Path,
    data: Mapping[str, str | Path],
    validation: Sequence[dict],
    output: str | Path,
    state: str | Path,
    verl: VerlConfig,
    save_every: int,
    on_incomplete_step: str,
    gpus: int,
    nodes: int,
    trackers: Sequence[str] = (),
    threads: int | None = None,
    validation_settings: Validation | None = None,
    one_file: bool = False,
    max_save_share: float = 1.0,
    keep_rollouts: int = 0,
) -> None:
    """Train as ``fofg.training.grpo.train`` does, with verl's own trainer (V1, synchronous) and rollouts by vLLM.

    Problems, their order, rewards and metrics are the same; responses differ from run to run. A step in which no group's rewards
    differ is an error. A killed run resumes from verl's last checkpoint under ``state``, made with the same number of GPUs. On a
    stop request, verl saves a checkpoint after the current step, and UserError is raised.
    """
    config, model, files = spec.rl, Path(model), prompts.files(spec.phases, data)
    validated = validation_settings.model_dump(mode="json") if validation_settings else None
    with training_run(spec.text(), model, files.values(), output, state, trackers, validated, one_file) as run:
        folder = runs.world_folder(run.folder, gpus * nodes)
        positions, tokenizer = model_files.positions(model), models.load_tokenizer(model)
        cpus = threads or os.cpu_count() or 1
        where = (gpus, nodes, cpus, folder, save_every, model.absolute(), positions, max_save_share)
        launch, run.kept = settings.LaunchConfig(*where, keep_rollouts), folder / KEPT
        sources = prompts.load(files, config, spec.scoring, tokenizer, positions)
        held_out = prompts.load_validation(validation, validation_settings, config, tokenizer, positions)
        held_out_file = folder / "validation.parquet"
        rows.write_problems(held_out_file, [prompt.row for prompt in held_out or next(iter(sources.values()))[:1]])
        measured = validation_settings if held_out else None
        compose = partial(settings.grpo, config, spec.scoring, verl, launch, held_out_file, measured, on_incomplete_step)
        _run_phases(run, config, spec.phases, launch, sources, measured.every if measured else 0, compose)
        steps = sum(phase.steps for phase in spec.phases)
        run.finish(runs.merged(folder / f"global_step_{steps}" / "actor", model, folder / "merged"))


def _run_phases(
    run: Run,
    config: GRPOConfig,
    phases: Sequence[Phase],
    launch: settings.LaunchConfig,
    sources: dict[str, list[Prompt]],
    validate_every: int,
    compose: Callable[[Path, int, bool], dict],
) -> None:
    """Run the trainer once per phase, each from the checkpoint of the previous one.

    A step draws prompts until it has its groups, so the number of problems that a phase uses isn't known beforehand: each phase
    gets a file of the maximum. ``compose``: returns verl's settings, given that file, the last step, and whether to validate first.
    """
    folder, lengths = launch.folder, [phase.steps for phase in phases]
    total = sum(lengths)
    # verl copies the problems into a cache, which is of use to this run alone.
    environment = {"HYDRA_FULL_ERROR": "1", "HF_DATASETS_CACHE": str(folder / "cache")}
    environment |= compiler_settings() | ray_cluster.environment()
    convert = partial(records.grpo, phase_of=partial(curricula.phase_of, lengths=lengths))
    for number, end in enumerate(accumulate(lengths), 1):
        done, history = last_step(folder), runs.lines(folder)
        validates = validate_every > 0 and (done % validate_every == 0 or done == total) and not history.validated(done)
        if done >= end and not (validates and number == len(phases)):
            continue
        problems = folder / f"phase{number}.parquet"
        rows.write_problems(problems, drawn(config, phases[number - 1], number, sources))
        if done == end - lengths[number - 1]:  # verl would resume at its position in the previous phase's file
            (folder / f"global_step_{done}" / "data.pt").unlink(missing_ok=True)
        values = compose(problems, end, validates)
        command = [*_cluster(launch), sys.executable, *settings.program("verl.trainer.main_ppo", values, folder)]
        runs.follow(run, command, folder, history, convert, end, environment)
        if end < total and (reason := stop_reason(folder / STOP)):  # in the phase's last step
            raise stop_error(reason, end, total)
    run.records = convert(runs.lines(folder).steps())


def drawn(config: GRPOConfig, phase: Phase, number: int, sources: dict[str, list[Prompt]]) -> Iterator[dict]:
    """Yield rows for the maximum number of draws of a phase, in drawing order."""
    per_step = config.prompts_per_step
    if config.filter_groups:
        batches = max(config.max_generation_batches, math.ceil(config.prompts_per_step / config.generation_prompts))
        per_step = batches * config.generation_prompts
    sizes = {name: len(prompts) for name, prompts in sources.items()}
    stream = curricula.draws(phase.mixture, sizes, config.seed, number)
    return (sources[draw.source][draw.row].row for draw in islice(stream, phase.steps * per_step))


def _cluster(launch: settings.LaunchConfig) -> list[str]:
    """Return the command prefix that runs a program once, in a private Ray cluster on the GPUs of all nodes."""
    options = {
        "--head": socket.gethostname(),
        "--port": subprocesses.free_port(),
        "--nodes": launch.nodes,
        "--gpus": launch.gpus,
        "--cpus": max(os.cpu_count() or 1, PROCESSES + launch.gpus),
        "--folder": launch.folder,
        "--stop-file": launch.folder / STOP,
        **({} if launch.nodes > 1 else {"--rank": 0}),
    }
    everywhere = subprocesses.on_all_nodes(launch.nodes, launch.gpus, launch.cpus) if launch.nodes > 1 else []
    arguments = [str(part) for option in options.items() for part in option]
    return [*everywhere, sys.executable, "-m", "fofg.runtime.ray_cluster", *arguments, "--"]
