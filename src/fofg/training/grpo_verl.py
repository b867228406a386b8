"""Reinforcement learning with verl and vLLM, on the GPUs of one or several nodes: GRPO with dynamic sampling (paper §4.1)."""

import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, islice
from pathlib import Path

from fofg import models
from fofg.config import Validation, VerlConfig
from fofg.runtime import ray_cluster, subprocesses
from fofg.runtime.gpus import compiler_settings
from fofg.runtime.signals import stop_reason
from fofg.stages import TrainRl
from fofg.training import curricula, prompts
from fofg.training.prompts import Prompt
from fofg.training.run import Run, training_run
from fofg.training.verl import records, rows, runs, settings
from fofg.training.verl.names import STOP

#: Ray counts a core for each of verl's processes, most of which wait; on fewer, the last ones would wait for ever.
PROCESSES = 15


def train(
    spec: TrainRl,
    model: str | Path,
    data: Mapping[str, str | Path],
    validation: Sequence[dict],
    output: str | Path,
    state: str | Path,
    verl: VerlConfig,
    gpus: int = 1,
    nodes: int = 1,
    save_every: int = 25,
    tensorboard: str | Path | None = None,
    threads: int | None = None,
    on_incomplete_step: str = "train",
    validation_settings: Validation | None = None,
) -> None:
    """Train as ``fofg.training.grpo.train`` does, by verl's own trainer (V1, synchronous) with rollouts by vLLM.

    The same problems in the same order, rewards and metrics; responses differ from run to run. A step of which no group's rewards
    differ is an error. A killed run resumes from verl's last checkpoint under ``state``, made with the same number of GPUs. Asked
    to stop, it saves one after the step that it is in, and UserError is raised.
    """
    config, model, output, state = spec.rl, Path(model), Path(output), Path(state)
    files, measured = prompts.files(spec.phases, data), validation_settings and validation_settings.model_dump(mode="json")
    with training_run(spec.text(), model, files.values(), output, state, tensorboard, measured) as run:
        folder = runs.work_folder(run.folder, gpus * nodes)
        positions, tokenizer = models.positions(model), models.load_tokenizer(model)
        launch = settings.LaunchConfig(gpus, nodes, threads or os.cpu_count(), folder, save_every, model.absolute(), positions)
        sources = prompts.load(files, config, spec.scoring, tokenizer, positions)
        held_out = prompts.load_validation(validation, validation_settings, config, tokenizer, positions)
        _run_phases(run, spec, verl, launch, sources, held_out, validation_settings if held_out else None, on_incomplete_step)
        steps = sum(phase.steps for phase in spec.phases)
        run.finish(runs.merged(folder / f"global_step_{steps}" / "actor", model, folder / "merged"))


def _run_phases(
    run: Run,
    spec: TrainRl,
    verl: VerlConfig,
    launch: settings.LaunchConfig,
    sources: dict[str, list[Prompt]],
    held_out: list[Prompt],
    validation: Validation | None,
    on_incomplete_step: str,
) -> None:
    """Run the trainer once per phase, each from the checkpoint of the one before.

    A step draws prompts until it has its groups, so which problems a phase takes isn't known beforehand: each phase gets a file of
    as many as it can draw at most.
    """
    folder = launch.folder
    lengths = [phase.steps for phase in spec.phases]
    held_out_file = folder / "validation.parquet"
    rows.write_problems(held_out_file, [prompt.row for prompt in held_out or next(iter(sources.values()))[:1]])
    # The copy of the problems is for this run alone.
    environment = {
        "HYDRA_FULL_ERROR": "1",
        "HF_DATASETS_CACHE": str(folder / "cache"),
        **compiler_settings(),
        **ray_cluster.environment(),
    }
    convert = partial(records.grpo, phase_of=partial(curricula.phase_of, lengths=lengths))
    every = validation.every if validation else 0
    for number, end in enumerate(accumulate(lengths), 1):
        done, said = runs.last_step(folder), runs.lines(folder)
        validates_first = every > 0 and (done % every == 0 or done == sum(lengths)) and not said.validated(done)
        if done >= end and not (validates_first and number == len(lengths)):
            continue
        train = folder / f"phase{number}.parquet"
        rows.write_problems(train, _drawn(spec, number, sources))
        if done == end - lengths[number - 1]:  # verl would go on in the file of the phase before
            (folder / f"global_step_{done}" / "data.pt").unlink(missing_ok=True)
        values = settings.grpo(spec, verl, launch, train, held_out_file, end, validates_first, validation, on_incomplete_step)
        command = [*_cluster(launch), sys.executable, *settings.program("verl.trainer.main_ppo", values, folder)]
        runs.follow(run, command, folder, said, convert, end, environment)
        if end < sum(lengths) and (reason := stop_reason(folder / STOP)):  # in the phase's last step
            raise runs.stopped(reason, end, sum(lengths))
    run.records = convert(runs.lines(folder).steps())


def _drawn(spec: TrainRl, number: int, sources: dict[str, list[Prompt]]) -> Iterator[dict]:
    """Return the rows of all problems that a phase can draw at most, in the order in which it draws them."""
    settings, phase = spec.rl, spec.phases[number - 1]
    batches = max(settings.max_generation_batches, -(-settings.prompts_per_step // settings.generation_prompts))
    most = phase.steps * (batches * settings.generation_prompts if settings.filter_groups else settings.prompts_per_step)
    sizes = {name: len(problems) for name, problems in sources.items()}
    stream = curricula.draws(phase.mixture, sizes, settings.seed, number)
    return (sources[draw.source][draw.row].row for draw in islice(stream, most))


def _cluster(launch: settings.LaunchConfig) -> list[str]:
    """Return what runs a command once, in a Ray cluster of its own on the GPUs of all nodes."""
    meeting = ["--head", socket.gethostname(), "--port", str(subprocesses.free_port()), "--nodes", str(launch.nodes)]
    cpus = max(os.cpu_count(), PROCESSES + launch.gpus)
    own = [
        "--gpus",
        str(launch.gpus),
        "--cpus",
        str(cpus),
        "--folder",
        str(launch.folder),
        "--stop-file",
        str(launch.folder / STOP),
    ]
    everywhere = subprocesses.on_all_nodes(launch.nodes, launch.gpus, launch.cpus) if launch.nodes > 1 else []
    rank = [] if everywhere else ["--rank", "0"]
    return [*everywhere, sys.executable, "-m", "fofg.runtime.ray_cluster", *meeting, *own, *rank, "--"]
