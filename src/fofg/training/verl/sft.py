"""Supervised fine-tuning with verl, on the GPUs of one or several nodes (paper §3.2: rejection fine-tuning)."""

import os
import socket
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from fofg import models
from fofg.config import SFTConfig, VerlConfig
from fofg.data.reading import check_examples
from fofg.models import model_files
from fofg.runtime import subprocesses
from fofg.specs import SFTSpec
from fofg.training import batches
from fofg.training.conversations import Encoded
from fofg.training.examples import check_length, encode_file, fills_batch
from fofg.training.run import Run, training_run
from fofg.training.verl import records, rows, runs, settings
from fofg.training.verl.protocol import last_step


def train(
    spec: SFTSpec,
    model: str | Path,
    train_file: str | Path,
    test_file: str | Path,
    output: str | Path,
    state: str | Path,
    verl: VerlConfig,
    save_every: int,
    gpus: int,
    nodes: int,
    log_every: int = 1,
    trackers: Sequence[str] = (),
    threads: int | None = None,
    allow_empty: bool = False,
    one_file: bool = False,
    max_save_share: float = 1.0,
) -> None:
    """Train as ``fofg.training.sft.train`` does, with verl's own trainer: FSDP, float32 weights, bfloat16 computation, no padding.

    Test examples are repeated to fill a batch. A killed run resumes from verl's last checkpoint under ``state``, made with the same
    number of GPUs; on a stop request, verl saves one.
    """
    config, model, files = spec.sft, Path(model), [Path(train_file), Path(test_file)]
    for path in files:
        check_examples(path)
    with training_run(spec.text(), model, files, output, state, trackers, one_file=one_file) as run:
        folder = runs.world_folder(run.folder, gpus * nodes)
        tokenizer, positions = models.load_tokenizer(model), model_files.positions(model)
        examples, tests = (encode_file(tokenizer, path, config) for path in files)
        if not fills_batch(examples, config, train_file, allow_empty):
            return run.keep_model()
        check_length(max(map(len, [*examples.input_ids, *tests.input_ids])), positions)
        cpus = threads or os.cpu_count() or 1
        launch = settings.LaunchConfig(gpus, nodes, cpus, folder, save_every, model.absolute(), positions, max_save_share)
        run.finish(_run(run, config, verl, launch, examples, tests), log_every)


def _run(run: Run, config: SFTConfig, verl: VerlConfig, launch: settings.LaunchConfig, examples: Encoded, tests: Encoded):
    """Run the trainer to the last step, and return the trained model."""
    folder, per_epoch = launch.folder, len(batches.sizes(len(examples), config.batch_size, config.last_batch))
    steps, train, test = per_epoch * config.epochs, folder / "train.parquet", folder / "test.parquet" if len(tests) else None
    rows.write_tokens(train, examples, config.seed, config.loss_agg_mode)
    if test:
        rows.write_tests(test, tests, config.batch_size, config.loss_agg_mode)
    convert = partial(records.sft, steps_per_epoch=per_epoch)
    if (done := last_step(folder)) < steps:
        if done % per_epoch == 0:  # a checkpoint between two epochs
            forget_data_position(folder / f"global_step_{done}")
        values = settings.sft(config, verl, launch, train, test, steps)
        command = [*_torchrun(launch), *settings.program("fofg.training.verl.sft_program", values, folder)]
        runs.follow(run, command, folder, runs.lines(folder), convert, steps, {})
    run.records = convert(runs.lines(folder).steps())
    return runs.merged(folder / f"global_step_{steps}", launch.model, folder / "merged")


def forget_data_position(checkpoint: Path) -> None:
    """Remove the data loader's position: at the end of an epoch, verl would find no rows for the next one."""
    for state in checkpoint.glob("data_*.pt"):
        state.unlink()


def _torchrun(launch: settings.LaunchConfig) -> list[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={launch.gpus}"]
    if launch.nodes == 1:
        return [*torchrun, "--standalone"]
    rendezvous = f"--rdzv-endpoint={socket.gethostname()}:{subprocesses.free_port()}"
    group = [f"--nnodes={launch.nodes}", "--rdzv-backend=c10d", f"--rdzv-id={os.environ.get('SLURM_JOB_ID')}", rendezvous]
    return [*subprocesses.on_all_nodes(launch.nodes, launch.gpus, launch.cpus), *torchrun, *group]
