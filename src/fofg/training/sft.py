"""Supervised fine-tuning in plain PyTorch, on a CPU or one GPU (paper §3.2: rejection fine-tuning)."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from fofg import models
from fofg.config import SFTConfig
from fofg.data.reading import check_examples
from fofg.errors import UserError
from fofg.specs import SFTSpec
from fofg.training import batches, modeling
from fofg.training.batches import Batch
from fofg.training.conversations import IGNORED, Encoded
from fofg.training.examples import check_length, encode_file, fills_batch
from fofg.training.losses import aggregate
from fofg.training.run import training_run

#: Test losses computed during a run, not counting the one before the first step.
TESTS = 10


def train(
    spec: SFTSpec,
    model: str | Path,
    train_file: str | Path,
    test_file: str | Path,
    output: str | Path,
    state: str | Path,
    micro_batch_size: int,
    save_every: int,
    log_every: int = 1,
    trackers: Sequence[str] = (),
    threads: int | None = None,
    allow_empty: bool = False,
    one_file: bool = False,
    max_save_share: float = 1.0,
) -> None:
    """Fine-tune a model on a file of RFT examples, and write the new model folder to ``output``.

    Only the assistant's turns are learned. The result depends on the spec, the files, the machine and its number of threads;
    ``micro_batch_size`` affects rounding only. A killed run resumes from its last checkpoint under ``state``. With
    ``allow_empty``, a file without examples yields the model unchanged. ``one_file``: as of ``fofg.training.modeling.save``;
    ``max_save_share``: as of ``fofg.training.run.Run.resume``. Raises UserError for input that can't be used.
    """
    config, model, output, state = spec.sft, Path(model), Path(output), Path(state)
    files = [Path(train_file), Path(test_file)]
    for path in files:
        check_examples(path)
    with training_run(spec.text(), model, files, output, state, trackers, one_file=one_file) as run:
        modeling.make_deterministic(config.seed)
        tokenizer = models.load_tokenizer(model)
        examples, tests = (encode_file(tokenizer, path, config) for path in files)
        if not fills_batch(examples, config, train_file, allow_empty):
            return run.keep_model()
        max_length = max(map(len, [*examples.input_ids, *tests.input_ids]))
        network = modeling.load(model, max_length, micro_batch_size)
        check_length(max_length, modeling.positions(network))
        optimizer = modeling.adamw(network, config)
        threads = threads or torch.get_num_threads()
        workers = modeling.GradientWorkers(network, threads, config.batch_size, micro_batch_size)
        dtype = modeling.precision(config.precision)

        # The order of all epochs is fixed before the first step, so a resumed run needs nothing but its step number.
        plan = batches.steps(len(examples), config.batch_size, config.epochs, config.seed, config.last_batch)
        steps_per_epoch, test_every = len(plan) // config.epochs, max(1, math.ceil(len(plan) / TESTS))
        run.resume(network, optimizer, len(plan), save_every, max_save_share)
        if len(tests) and not run.records:
            test_loss = evaluate(network, tests, workers, config, micro_batch_size, dtype)
            run.log({"step": 0, "epoch": 0.0, "tokens": 0, "seconds": 0.0, "test_loss": test_loss})
        tokens_read = run.records[-1]["tokens"] if run.records else 0

        network.train()
        for step in run.steps():
            rows = [row_of(examples, row) for row in plan[step - 1]]
            tokens = num_learned(rows)

            # The loss is averaged over the whole step, so each micro-batch needs the counts of the step.
            def loss_of(batch: Batch, tokens: int = tokens, rows: int = len(rows)) -> torch.Tensor:
                return sft_loss(network, batch, config.loss_agg_mode, tokens, rows, dtype)

            # Rows of similar length share a micro-batch, to save padding; gradients add up to those of the whole step.
            micro_batches = batches.micro_batches(rows, micro_batch_size, network.device)
            loss = workers.add_gradients(network, loss_of, micro_batches)
            learning_rate = config.learning_rate * schedule(config, step - 1, len(plan))
            grad_norm = modeling.update(network, optimizer, learning_rate, config.max_grad_norm)
            if not math.isfinite(loss + grad_norm):
                raise UserError(f"sft.learning_rate: the loss is not finite at step {step}; lower it")

            tokens_read += sum(len(row["input_ids"]) for row in rows)
            record = {"step": step, "epoch": step / steps_per_epoch, "loss": loss, "learning_rate": learning_rate}
            record |= {"grad_norm": grad_norm, "tokens": tokens_read, "seconds": run.seconds()}
            if len(tests) and (step % test_every == 0 or step == len(plan)):
                record["test_loss"] = evaluate(network, tests, workers, config, micro_batch_size, dtype)
            run.log(record, loss=f"{loss:.3f}")
        run.finish(network, log_every)


def sft_loss(network, batch: Batch, mode: str, tokens: int, rows: int, dtype: torch.dtype) -> torch.Tensor:
    """Return a micro-batch's share of the loss over ``rows`` examples with ``tokens`` learned tokens in all; shares add up."""
    log_probs, _ = modeling.token_log_probs(network, batch, dtype)
    return aggregate(-log_probs, batch["loss_mask"][:, 1:], mode, tokens, rows)


@torch.no_grad()
def evaluate(network, examples: Encoded, workers, config: SFTConfig, micro_batch_size: int, dtype: torch.dtype) -> float:
    """Return the loss on test examples, averaged as in training."""
    rows = [row_of(examples, row) for row in range(len(examples))]
    tokens = num_learned(rows)

    @torch.no_grad()  # again: gradient mode is per thread, and the workers are other threads
    def loss_of(batch: Batch) -> float:
        return float(sft_loss(network, batch, config.loss_agg_mode, tokens, len(rows), dtype))

    network.eval()
    total = sum(workers.map(loss_of, batches.micro_batches(rows, micro_batch_size, network.device)))
    network.train()
    return total


def schedule(config: SFTConfig, step: int, steps: int) -> float:
    """Return the learning rate of a step (from 0) as a share of its peak: a linear warm-up, then constant or down to 0."""
    warmup = math.ceil(config.warmup_ratio * steps)
    if step < warmup:
        return step / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return {"constant": 1.0, "linear": 1 - progress, "cosine": (1 + math.cos(math.pi * progress)) / 2}[config.schedule]


def row_of(examples: Encoded, row: int) -> Batch:
    """Return an example's tokens and the mask of those that are learned."""
    ids, labels = (torch.as_tensor(values[row], dtype=torch.int64) for values in (examples.input_ids, examples.labels))
    return {"input_ids": ids, "loss_mask": (labels != IGNORED).long()}


def num_learned(rows: list[Batch]) -> int:
    """Count the learned tokens. A row's first token never counts: nothing before it predicts it."""
    return sum(int(row["loss_mask"][1:].sum()) for row in rows)
