"""GRPO with dynamic sampling in plain PyTorch, on a CPU or one GPU (paper §4.1)."""

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

import torch
from tqdm import tqdm

from fofg import models
from fofg.config import GRPOConfig, Validation
from fofg.errors import UserError
from fofg.rollouts.decoding import Decoder
from fofg.specs import RLSpec
from fofg.training import batches, kept, modeling, prompts
from fofg.training.batches import Batch
from fofg.training.groups import TOO_FEW, Group, GroupSampler, advantages
from fofg.training.losses import aggregate, kl_divergence, policy_loss
from fofg.training.metrics import Record, running_tokens
from fofg.training.modeling import GradientWorkers
from fofg.training.run import training_run

#: Pad micro-batches to a multiple of this: oneDNN compiles and caches a kernel per width.
WIDTHS = 16


def train(
    spec: RLSpec,
    model: str | Path,
    data: Mapping[str, str | Path],
    validation: Sequence[dict],
    output: str | Path,
    state: str | Path,
    micro_batch_size: int,
    batch_size: int,
    save_every: int,
    on_empty_step: str,
    on_incomplete_step: str,
    validation_settings: Validation | None = None,
    trackers: Sequence[str] = (),
    threads: int | None = None,
    one_file: bool = False,
    max_save_share: float = 1.0,
    keep_rollouts: int = 0,
) -> None:
    """Train a model on problems by GRPO, and write the new model folder to ``output``.

    ``data``: a Parquet file (fofg.data.schemas.PROBLEMS) for each name in the phases' mixtures; ``validation``: rows of held-out
    problems, answered when and how ``validation_settings`` say; ``batch_size``: sequences decoded at once; ``keep_rollouts``:
    problems per step that are kept with their responses (fofg.training.kept). The result depends on the spec, the files in
    ``data``, the machine and its number of threads; the two batch sizes affect rounding only. A killed run resumes from its last
    checkpoint under ``state``. Raises UserError for input that can't be used.
    """
    config, model, output, state = spec.rl, Path(model), Path(output), Path(state)
    files = prompts.files(spec.phases, data)
    validated = validation_settings.model_dump(mode="json") if validation_settings else None
    with (
        training_run(spec.text(), model, files.values(), output, state, trackers, validated, one_file) as run,
        explained_out_of_memory(micro_batch_size, batch_size),
    ):
        modeling.make_deterministic(config.seed)
        tokenizer, rollouts = models.load_chat_tokenizer(model), config.rollouts
        max_length = rollouts.max_prompt_tokens + rollouts.max_response_tokens
        policy = modeling.load(model, max_length, micro_batch_size)
        # A frozen copy of the initial model, from which the KL divergence is measured. The paper trains without it.
        reference = modeling.load(model, max_length, micro_batch_size) if config.kl_coef else None
        max_width, dtype = modeling.positions(policy), modeling.precision(config.precision)
        sources = prompts.load(files, config, spec.scoring, tokenizer, max_width)
        held_out = prompts.load_validation(validation, validation_settings, config, tokenizer, max_width)
        optimizer, threads = modeling.adamw(policy, config), threads or torch.get_num_threads()
        workers = GradientWorkers(policy, threads, config.mini_batch_prompts * rollouts.samples, micro_batch_size)

        ends = models.end_tokens(model, tokenizer)
        sampler = GroupSampler(
            config,
            spec.phases,
            spec.scoring,
            sources,
            Decoder(policy, tokenizer, rollouts, ends, batch_size),
            lambda: generating(policy, workers, dtype),
        )
        measured = validation_settings if held_out else None
        # Validation has a decoder of its own, since its responses may be greedy; both decode with the current policy.
        greedy = {"temperature": 0.0, "top_p": 1.0} if measured and measured.greedy else {}
        validator = Decoder(policy, tokenizer, rollouts.model_copy(update=greedy), ends, batch_size)

        total = sum(phase.steps for phase in spec.phases)
        run.resume(policy, optimizer, total, save_every, max_save_share)
        if measured and not run.records:
            run.log({"step": 0, **sampler.validate(held_out, validator), "seconds": run.seconds()})
        # A resumed run continues the warm-up where it was: steps have fewer updates when they found fewer groups.
        updates = sum(math.ceil(record.get("groups_kept", 0) / config.mini_batch_prompts) for record in run.records)

        for step in run.steps():
            # Sample groups of responses until enough have rewards that differ (dynamic sampling).
            groups, record = sampler.draw(step, run.records)
            if keep_rollouts:
                kept.keep(run.kept, step, sampler.rollouts(keep_rollouts))
            check_step(record, config, on_empty_step, on_incomplete_step)
            began = time.monotonic()

            # One row per response, with its advantage; one mini-batch, and one optimizer update, per mini_batch_prompts groups.
            mini_batches, tokens = [], 0
            for start in range(0, len(groups), config.mini_batch_prompts):
                rows = rows_of(groups[start : start + config.mini_batch_prompts], config)
                tokens += sum(len(row["input_ids"]) for row in rows)
                mini_batches.append(batches.micro_batches(rows, micro_batch_size, policy.device, WIDTHS, max_width))
            policy.train()
            # The importance ratio compares with the policy that sampled the responses. After the first update that is no longer
            # the current one, so its log-probabilities are computed now. A single update needs none: its ratio is 1.
            if len(mini_batches) > 1:
                add_log_probs("old", policy, mini_batches, workers, config, dtype)
            if reference:
                add_log_probs("reference", reference, mini_batches, workers, config, dtype)

            # Update the policy: backpropagate the clipped loss of each mini-batch, and let the optimizer step.
            metrics = []
            for mini_batch in mini_batches:
                updates += 1
                learning_rate = config.learning_rate * min(1.0, updates / (config.warmup_steps + 1))
                metrics.append(update(policy, optimizer, mini_batch, learning_rate, workers, config, dtype, step))

            # Log the means over the updates; a skipped step has none.
            record |= {name: fmean(update_metrics[name] for update_metrics in metrics) for name in (metrics[0] if metrics else ())}
            if metrics:
                record["learning_rate"] = learning_rate
            record |= running_tokens(run.records, tokens)
            record["seconds_training"] = round(time.monotonic() - began, 3)
            if measured and (step % measured.every == 0 or step == total):
                record |= sampler.validate(held_out, validator)
            record["seconds"] = run.seconds()
            groups_kept = f"{record['groups_kept']}/{record['groups']}"
            run.log(record, reward=f"{record['reward']:.2f}", accuracy=f"{record['accuracy']:.2f}", groups=groups_kept)
        run.finish(policy)


def rows_of(groups: Sequence[Group], config: GRPOConfig) -> list[Batch]:
    """Return one row per response: prompt and response tokens, a mask of the response's tokens, and its advantage."""
    rows, rewards = [], torch.tensor([group.rewards for group in groups])
    for group, group_advantages in zip(groups, advantages(rewards, config.scale_rewards, config.negative_weight)):
        prompt = torch.tensor(group.prompt.tokens)
        for response, advantage in zip(group.responses, group_advantages):
            tokens = response.tokens.cpu()
            mask = torch.cat([torch.zeros_like(prompt), torch.ones_like(tokens)])
            rows.append({"input_ids": torch.cat([prompt, tokens]), "response_mask": mask, "advantages": advantage})
    return rows


def add_log_probs(name: str, model, mini_batches: list[list[Batch]], workers, config: GRPOConfig, dtype: torch.dtype) -> None:
    """Add a model's log-probabilities of the tokens to every micro-batch, as ``old`` or as ``reference``."""

    @torch.no_grad()  # here, and not around the call: gradient mode is per thread, and the workers are other threads
    def log_probs_of(batch: Batch) -> torch.Tensor:
        return modeling.token_log_probs(model, batch, dtype, config.rollouts.temperature)[0]

    micro_batches = [batch for mini_batch in mini_batches for batch in mini_batch]
    for batch, log_probs in zip(micro_batches, workers.map(log_probs_of, micro_batches)):
        batch[name] = log_probs


def update(
    policy, optimizer, mini_batch: list[Batch], learning_rate: float, workers, config: GRPOConfig, dtype: torch.dtype, step: int
) -> Record:
    """Update the policy on a mini-batch, and return the metrics. Raises UserError if the loss is not finite."""
    # Each micro-batch's loss is divided by the tokens and rows of the whole update, so that gradients simply add up.
    tokens, rows = (sum(int(value) for value in values) for values in zip(*map(_size, mini_batch)))
    metrics: list[Record] = []

    def loss_of(batch: Batch) -> torch.Tensor:
        loss, shares = grpo_loss(policy, batch, tokens, rows, config, dtype)
        metrics.append(shares)
        return loss

    loss = workers.add_gradients(policy, loss_of, mini_batch)
    grad_norm = modeling.update(policy, optimizer, learning_rate, config.max_grad_norm)
    if not math.isfinite(loss + grad_norm):
        raise UserError(f"stage2.rl.learning_rate: the loss is not finite at step {step}; lower it")
    return {name: math.fsum(shares[name] for shares in metrics) for name in metrics[0]} | {"grad_norm": grad_norm}


def grpo_loss(policy, batch: Batch, tokens: int, rows: int, config: GRPOConfig, dtype: torch.dtype) -> tuple[torch.Tensor, Record]:
    """Return a micro-batch's share of an update's loss and metrics; the shares of all micro-batches add up.

    The loss is the clipped policy loss, plus ``kl_coef`` times KL, minus ``entropy_coef`` times entropy, each averaged by
    ``loss_agg_mode`` over the ``tokens`` of the update's ``rows`` responses.
    """
    mask = batch["response_mask"][:, 1:]  # the first token has no log-probability
    log_probs, vocabulary = modeling.token_log_probs(policy, batch, dtype, config.rollouts.temperature)
    old = batch.get("old", log_probs.detach())  # on-policy, the ratio is 1 but its gradient is not 0
    losses, clipped = policy_loss(log_probs, old, batch["advantages"], config.clip_low, config.clip_high)
    with torch.set_grad_enabled(config.entropy_coef > 0):  # a metric only, unless there is an entropy bonus
        entropy = -(vocabulary.exp() * vocabulary).sum(dim=-1)
    terms = {"loss": losses, "clip_fraction": clipped.float(), "entropy": entropy}
    if "reference" in batch:
        terms["kl"] = kl_divergence(log_probs, batch["reference"])
    means = {name: aggregate(values, mask, config.loss_agg_mode, tokens, rows) for name, values in terms.items()}
    loss = means["loss"] - config.entropy_coef * means["entropy"] + config.kl_coef * means.get("kl", 0.0)
    return loss, {name: float(mean.detach()) for name, mean in means.items()}


def check_step(record: Record, config: GRPOConfig, on_empty_step: str, on_incomplete_step: str) -> None:
    """Report a step with too few groups. Raises UserError if the configuration says to stop then."""
    message = f"step {record['step']}: rewards differ in {record['groups_kept']} of {record['groups']} groups"
    if not record["groups_kept"] and on_empty_step == "error":
        raise UserError(
            f"{message} (mean reward {record['reward']:.2f}), so there is nothing to train on; raise stage2.rl's "
            "max_generation_batches or generation_prompts, take problems that are sometimes solved, or set on_empty_step: skip"
        )
    if 0 < record["groups_kept"] < config.prompts_per_step and on_incomplete_step == "error":
        raise UserError(f"{message}, {TOO_FEW.format(config.prompts_per_step)}")
    if record["limit_reached"]:
        tqdm.write(f"{message}; {'it trains on those' if record['groups_kept'] else 'no update'}", file=sys.stderr)


@contextmanager
def generating(policy, workers: GradientWorkers, dtype: torch.dtype) -> Iterator[None]:
    """Switch the policy to generation: on a GPU in the precision of training; on a CPU, float32 is as fast as bfloat16."""
    policy.eval()
    half = torch.cuda.is_available() and dtype == torch.bfloat16
    with workers.paused(), torch.autocast("cuda", torch.bfloat16, enabled=half):
        yield


@contextmanager
def explained_out_of_memory(micro_batch_size: int, batch_size: int) -> Iterator[None]:
    """Name the settings to lower when the GPU's memory runs out."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise UserError(
            f"training.rl_micro_batch_size, rollout_engine.batch_size: training on {micro_batch_size} sequences or decoding "
            f"{batch_size} at once does not fit the GPU; lower them"
        ) from None


def _size(batch: Batch) -> tuple[int, int]:
    return int(batch["response_mask"].sum()), len(batch["response_mask"])
