"""Reinforcement learning with verl and vLLM, on the GPUs of one or several nodes: GRPO with dynamic sampling (paper §4.1)."""

import os
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate, islice
from pathlib import Path

from fofg import models
from fofg.config import Validation, Verl
from fofg.data.files import open_parquet
from fofg.data.schemas import PROBLEMS
from fofg.runtime import ray_cluster, subprocesses
from fofg.runtime.gpus import compiler_settings
from fofg.runtime.locks import exclusive
from fofg.runtime.signals import stop_reason
from fofg.stages import TrainRl
from fofg.training import curricula, networks, problem_files, resume
from fofg.training.grpo_rollouts import Problem
from fofg.training.metrics import Record
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
    verl: Verl,
    gpus: int = 1,
    nodes: int = 1,
    save_every: int = 25,
    tensorboard: str | Path | None = None,
    threads: int | None = None,
    on_incomplete_step: str = "train",
    validation_settings: Validation | None = None,
) -> None:
    """As fofg.training.grpo_trl.train, by verl's own trainer (V1, synchronous) with rollouts by vLLM.

    The same problems in the same order, rewards and metrics; responses differ from run to run. A step of which no group's rewards
    differ is an error. A killed run goes on from verl's last checkpoint under ``state``, made with the same number of GPUs. Asked
    to stop, it saves one after the step that it is in, and UserError is raised.
    """
    model, output, state = Path(model), Path(output), Path(state)
    files = problem_files.files(spec, data)
    models.check(model)
    for path in files:
        open_parquet(path, PROBLEMS).close()
    with exclusive(state):
        key = resume.fingerprint(spec.text(), models.digest(model), files)
        folder = runs.work_folder(state, key, gpus * nodes)
        positions = models.positions(model)
        place = settings.Place(gpus, nodes, threads or os.cpu_count(), folder, save_every, model.absolute(), positions)
        tokenizer = models.load_tokenizer(model)
        sources = problem_files.load(spec, files, tokenizer, positions)
        asked = problem_files.load_validation(spec, validation, validation_settings, tokenizer, positions)
        tensorboard = Path(tensorboard or output / "tensorboard")
        made = _phases(spec, verl, place, sources, asked, validation_settings, tensorboard, on_incomplete_step)
        steps = sum(phase.steps for phase in spec.phases)
        network = runs.merged(folder / f"global_step_{steps}" / "actor", model, folder / "merged")
        networks.finish(spec, network, model, output, made, validation_settings)
        shutil.rmtree(state, ignore_errors=True)


def _phases(
    spec: TrainRl,
    verl: Verl,
    place: settings.Place,
    sources: dict[str, list[Problem]],
    asked: list[Problem],
    validated: Validation | None,
    tensorboard: Path,
    on_incomplete_step: str,
) -> list[Record]:
    """Runs the trainer once for each phase, each going on from the checkpoint of the one before; the records of all steps.

    A step draws prompts until it has its groups, so which problems a phase takes can't be told before: each gets a file of as many
    as it can draw at most.
    """
    folder, validated = place.folder, validated if asked else None
    lengths = [phase.steps for phase in spec.phases]
    validation = folder / "validation.parquet"
    rows.write_problems(validation, [problem.row for problem in asked or next(iter(sources.values()))[:1]])
    # The copy of the problems is for this run alone.
    environment = {
        "HYDRA_FULL_ERROR": "1",
        "HF_DATASETS_CACHE": str(folder / "cache"),
        **compiler_settings(),
        **ray_cluster.environment(),
    }
    convert = partial(records.grpo, phase_of=partial(curricula.phase_of, lengths=lengths))
    every = validated.every if validated else 0
    for number, end in enumerate(accumulate(lengths), 1):
        done, said = runs.last_step(folder), runs.lines(folder)
        validates_first = every > 0 and (done % every == 0 or done == sum(lengths)) and not said.validated(done)
        if done >= end and not (validates_first and number == len(lengths)):
            continue
        train = folder / f"phase{number}.parquet"
        rows.write_problems(train, _drawn(spec, number, sources))
        if done == end - lengths[number - 1]:  # verl would go on in the file of the phase before
            (folder / f"global_step_{done}" / "data.pt").unlink(missing_ok=True)
        values = settings.grpo(spec, verl, place, train, validation, end, validates_first, validated, on_incomplete_step)
        command = [*_cluster(place), sys.executable, *settings.program("verl.trainer.main_ppo", values, folder)]
        runs.follow(command, folder, said, convert, end, tensorboard, environment)
        if end < sum(lengths) and (reason := stop_reason(folder / STOP)):  # in the phase's last step
            raise runs.stopped(reason, end, sum(lengths))
    return convert(runs.lines(folder).steps())


def _drawn(spec: TrainRl, number: int, sources: dict[str, list[Problem]]):
    """Rows of all problems that a phase can draw at most, in the order in which it draws them."""
    settings, phase = spec.rl, spec.phases[number - 1]
    batches = max(settings.max_generation_batches, -(-settings.prompts_per_step // settings.generation_prompts))
    most = phase.steps * (batches * settings.generation_prompts if settings.filter_groups else settings.prompts_per_step)
    sizes = {name: len(problems) for name, problems in sources.items()}
    stream = curricula.draws(phase.mixture, sizes, settings.seed, number)
    return (sources[draw.source][draw.row].row for draw in islice(stream, most))


def _cluster(place: settings.Place) -> list[str]:
    """What runs a command once, in a Ray cluster of its own on the GPUs of all nodes."""
    meeting = ["--head", socket.gethostname(), "--port", str(subprocesses.free_port()), "--nodes", str(place.nodes)]
    cpus = max(os.cpu_count(), PROCESSES + place.gpus)
    own = ["--gpus", str(place.gpus), "--cpus", str(cpus), "--folder", str(place.folder), "--stop-file", str(place.folder / STOP)]
    everywhere = subprocesses.on_all_nodes(place.nodes, place.gpus, place.cpus) if place.nodes > 1 else []
    rank = [] if everywhere else ["--rank", "0"]
    return [*everywhere, sys.executable, "-m", "fofg.runtime.ray_cluster", *meeting, *own, *rank, "--"]
