"""Supervised fine-tuning with verl, on the GPUs of one or several nodes (paper §3.2: rejection fine-tuning)."""

import os
import shutil
import socket
import sys
from functools import partial
from pathlib import Path

from transformers import AutoTokenizer

from fofg import models
from fofg.config import Verl
from fofg.data.files import open_parquet
from fofg.runtime import subprocesses
from fofg.runtime.locks import exclusive
from fofg.stages import TrainSft
from fofg.training import batches, metrics, networks, resume
from fofg.training.examples import EXAMPLES, UNCHANGED, check_length, encode_file, fills_batch
from fofg.training.verl import records, rows, runs, settings


def train(
    spec: TrainSft,
    model: str | Path,
    train_file: str | Path,
    test_file: str | Path,
    output: str | Path,
    state: str | Path,
    verl: Verl,
    gpus: int = 1,
    nodes: int = 1,
    save_every: int = 100,
    log_every: int = 1,
    tensorboard: str | Path | None = None,
    threads: int | None = None,
    allow_empty: bool = False,
) -> None:
    """As fofg.training.sft_trl.train, by verl's own trainer: FSDP, float32 weights, bfloat16 computation, no padding.

    Difference: test examples are repeated to fill a batch. A killed
    run goes on from verl's last checkpoint under ``state``, made with the same number of GPUs; asked to stop, it saves one.
    """
    model, output, state = Path(model), Path(output), Path(state)
    tensorboard = Path(tensorboard or output / "tensorboard")
    models.check(model)
    for path in (train_file, test_file):
        open_parquet(path, EXAMPLES).close()
    with exclusive(state):
        key = resume.fingerprint(spec.text(), models.digest(model), [Path(train_file), Path(test_file)])
        folder = runs.work_folder(state, key, gpus * nodes)
        tokenizer = AutoTokenizer.from_pretrained(model)
        examples, tests = (encode_file(tokenizer, path, spec.sft) for path in (train_file, test_file))
        if fills_batch(examples, spec.sft, train_file, allow_empty):
            place = settings.Place(
                gpus, nodes, threads or os.cpu_count(), folder, save_every, model.absolute(), models.positions(model)
            )
            network, made = _run(spec, verl, place, examples, tests, tensorboard)
        else:
            print(f"{output} is the model {model}, unchanged", file=sys.stderr)
            shutil.rmtree(tensorboard, ignore_errors=True)
            network, made = networks.load(model, longest=0), [UNCHANGED]
        networks.finish(spec, network, model, output, metrics.thin(made, log_every))
        shutil.rmtree(state, ignore_errors=True)


def _run(spec: TrainSft, verl: Verl, place: settings.Place, examples, tests, tensorboard: Path):
    """The trained network, and the records of all steps."""
    batch, folder = spec.sft.batch_size, place.folder
    per_epoch = len(batches.sizes(len(examples), batch, spec.sft.last_batch))
    check_length(max(map(len, [*examples.input_ids, *tests.input_ids])), place.positions)
    steps = per_epoch * spec.sft.epochs
    train, test = folder / "train.parquet", folder / "test.parquet" if len(tests) else None
    rows.write_tokens(train, examples, spec.sft.seed, spec.sft.loss_agg_mode)
    if test:
        rows.write_tests(test, tests, batch, spec.sft.loss_agg_mode)
    values = settings.sft(spec, verl, place, train, test, steps)
    command = [*_torchrun(place), *settings.program("fofg.training.verl.sft_program", values, folder)]
    convert = partial(records.sft, steps_per_epoch=per_epoch)
    if (done := runs.last_step(folder)) < steps:
        if done % per_epoch == 0:
            _begin_epoch(folder / f"global_step_{done}")
        runs.follow(command, folder, runs.lines(folder), convert, steps, tensorboard, {})
    network = runs.merged(folder / f"global_step_{steps}", place.model, folder / "merged")
    return network, convert(runs.lines(folder).steps())


def _begin_epoch(checkpoint: Path) -> None:
    """Forgets where verl's data loader was at the end of an epoch, in which it would look for the next one's rows."""
    for state in checkpoint.glob("data_*.pt"):
        state.unlink()


def _torchrun(place: settings.Place) -> list[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={place.gpus}"]
    if place.nodes == 1:
        return [*torchrun, "--standalone"]
    meeting = f"--rdzv-endpoint={socket.gethostname()}:{subprocesses.free_port()}"
    group = [f"--nnodes={place.nodes}", "--rdzv-backend=c10d", f"--rdzv-id={os.environ.get('SLURM_JOB_ID')}", meeting]
    return [*subprocesses.on_all_nodes(place.nodes, place.gpus, place.cpus), *torchrun, *group]
