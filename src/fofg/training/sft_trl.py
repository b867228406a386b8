"""Supervised fine-tuning with TRL, on a CPU or one GPU (paper §3.2: rejection fine-tuning)."""

import math
import shutil
import sys
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import torch
from datasets import Dataset
from transformers import AutoTokenizer, set_seed
from trl import SFTConfig

from fofg import models
from fofg.config import Sft
from fofg.data.files import open_parquet
from fofg.runtime.locks import exclusive
from fofg.stages import TrainSft
from fofg.training import batches, metrics, monitor, networks, resume
from fofg.training.conversations import Encoded
from fofg.training.examples import EXAMPLES, UNCHANGED, check_length, encode_file, fills_batch
from fofg.training.networks import Work
from fofg.training.tuner import Tuner, TunerMonitor

#: Times that the test loss is computed during a run, after once before the first step.
TESTS = 10


def train(
    spec: TrainSft,
    model: str | Path,
    train_file: str | Path,
    test_file: str | Path,
    output: str | Path,
    state: str | Path,
    micro_batch_size: int = 4,
    save_every: int = 100,
    log_every: int = 1,
    tensorboard: str | Path | None = None,
    threads: int | None = None,
    allow_empty: bool = False,
) -> None:
    """Fine-tunes a model folder on RFT files; writes the new model folder, ``metrics.jsonl`` and ``spec.json`` to ``output``.

    Only the assistant's turns are learned; ``sft.loss_agg_mode`` says how a step's loss averages over them. The result depends on
    the spec, the files, the machine and its number of threads; ``micro_batch_size`` changes no more than rounding. A killed run
    goes on from its last complete checkpoint under ``state``, which is removed at the end. With ``allow_empty``, no example
    to train on gives the model as it came in. Raises UserError for unfit input, and when SIGTERM stopped the run.
    """
    model, output, state = Path(model), Path(output), Path(state)
    tensorboard = Path(tensorboard or output / "tensorboard")
    models.check(model)
    for path in (train_file, test_file):
        open_parquet(path, EXAMPLES).close()
    with exclusive(state):
        key = resume.fingerprint(spec.text(), models.digest(model), [Path(train_file), Path(test_file)])
        work = Work(state / key, micro_batch_size, save_every, threads or torch.get_num_threads())
        networks.quiet()
        set_seed(spec.sft.seed)
        tokenizer = AutoTokenizer.from_pretrained(model)
        examples, tests = (encode_file(tokenizer, path, spec.sft) for path in (train_file, test_file))
        if fills_batch(examples, spec.sft, train_file, allow_empty):
            trainer = _prepare(spec.sft, model, tokenizer, examples, tests, work)
            monitor.run(trainer, work.state, tensorboard)
            networks.finish(spec, trainer.model, model, output, metrics.thin(trainer.monitor.records, log_every))
        else:
            print(f"{output} is the model {model}, unchanged", file=sys.stderr)
            shutil.rmtree(tensorboard, ignore_errors=True)
            networks.finish(spec, networks.load(model, longest=0), model, output, [UNCHANGED])
        shutil.rmtree(state, ignore_errors=True)


def _prepare(settings: Sft, model: Path, tokenizer, examples: Encoded, tests: Encoded, work: Work) -> Tuner:
    """The trainer, ready to run."""
    network = _network(model, longest=max(map(len, [*examples.input_ids, *tests.input_ids])))
    team = networks.Team(network, work.threads, settings.batch_size, work.micro_batch_size)
    plan = batches.steps(len(examples), settings.batch_size, settings.epochs, settings.seed, settings.last_batch)
    read = list(accumulate(sum(len(examples.input_ids[row]) for row in step) for step in plan))
    test_rows = _dataset(tests)
    watching = TunerMonitor(
        tokens=read,
        steps_per_epoch=len(plan) // settings.epochs,
        test_every=max(1, math.ceil(len(plan) / TESTS)),
        test_loss=(lambda: trainer.mean_loss(test_rows)) if len(tests) else None,
    )
    trainer = Tuner(
        plan,
        work.micro_batch_size,
        team,
        settings.loss_agg_mode,
        monitor=watching,
        model=network,
        args=_arguments(settings, len(plan), work),
        train_dataset=_dataset(examples),
        processing_class=tokenizer,
    )
    return trainer


def _network(model: Path, longest: int):
    """The model. Raises UserError if it is damaged or holds fewer than ``longest`` positions."""
    network = networks.load(model, longest)
    check_length(longest, networks.positions(network))
    return network


def _dataset(examples: Encoded) -> Dataset:
    columns = {"input_ids": examples.input_ids, "labels": examples.labels}
    return Dataset(pa.table({name: pa.array(rows, pa.list_(pa.int32())) for name, rows in columns.items()}))


def _arguments(settings: Sft, steps: int, work: Work) -> SFTConfig:
    return SFTConfig(
        **networks.arguments(settings, work),
        per_device_train_batch_size=settings.batch_size,
        lr_scheduler_type="constant_with_warmup" if settings.schedule == "constant" else settings.schedule,
        warmup_steps=math.ceil(settings.warmup_ratio * steps),
        logging_steps=1,
        logging_nan_inf_filter=False,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
