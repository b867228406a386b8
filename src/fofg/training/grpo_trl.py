"""Reinforcement learning with TRL, on a CPU or one GPU: GRPO with dynamic sampling (paper §4.1)."""

import copy
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from datasets import Dataset
from transformers import set_seed
from trl import GRPOConfig

from fofg import models
from fofg.config import Grpo, Validation
from fofg.data.files import open_parquet
from fofg.data.schemas import PROBLEMS
from fofg.errors import UserError
from fofg.rollouts.decoding import Decoder, end_tokens
from fofg.runtime.locks import exclusive
from fofg.stages import TrainRl
from fofg.training import monitor, networks, problem_files, resume
from fofg.training.grpo_rollouts import Sampler
from fofg.training.grpo_updates import Learner, LearnerMonitor
from fofg.training.networks import Work


def train(
    spec: TrainRl,
    model: str | Path,
    data: Mapping[str, str | Path],
    validation: Sequence[dict],
    output: str | Path,
    state: str | Path,
    micro_batch_size: int = 8,
    batch_size: int = 128,
    save_every: int = 2,
    tensorboard: str | Path | None = None,
    threads: int | None = None,
    on_empty_step: str = "error",
    on_incomplete_step: str = "train",
    validation_settings: Validation | None = None,
) -> None:
    """Trains a model folder on problems; writes the new model folder, ``metrics.jsonl`` and ``spec.json`` to ``output``.

    ``data``: a Parquet file (fofg.data.schemas.PROBLEMS) for each name in the phases' mixtures; ``validation``: rows of held-out
    problems, answered when and how ``validation_settings`` say (None: never); neither changes the model or where a killed run
    resumes; ``batch_size``: sequences decoded at once; ``on_empty_step``, ``on_incomplete_step``: the keys of stage2.rl. The result
    depends on the spec, the files in ``data``, the machine and its number of threads; the two sizes change no more than
    rounding does. A killed run goes on from its last complete checkpoint under ``state``, which is removed at the end. Raises
    UserError for unfit input, and when SIGTERM stopped the run after a checkpoint.
    """
    model, output, state = Path(model), Path(output), Path(state)
    files = problem_files.files(spec, data)
    models.check(model)
    for path in files:
        open_parquet(path, PROBLEMS).close()
    with exclusive(state):
        key = resume.fingerprint(spec.text(), models.digest(model), files)
        work = Work(state / key, micro_batch_size, save_every, threads or torch.get_num_threads())
        networks.quiet()
        set_seed(spec.rl.seed)
        trainer = prepare(spec, model, files, work, batch_size, on_empty_step, on_incomplete_step, validation, validation_settings)
        try:
            monitor.run(trainer, work.state, tensorboard or output / "tensorboard")
        except torch.OutOfMemoryError:
            raise UserError(
                f"training.micro_batch_size, rollout_engine.batch_size: training on {micro_batch_size} sequences or decoding "
                f"{batch_size} at once does not fit the GPU; lower them"
            ) from None
        networks.finish(spec, trainer.model, model, output, trainer.monitor.records, validation_settings)
        shutil.rmtree(state, ignore_errors=True)


def prepare(
    spec: TrainRl,
    model: Path,
    files: list[Path],
    work: Work,
    batch_size: int,
    on_empty_step: str = "error",
    on_incomplete_step: str = "train",
    validation: Sequence[dict] = (),
    validation_settings: Validation | None = None,
) -> Learner:
    """The trainer, ready to run."""
    settings, total = spec.rl, sum(phase.steps for phase in spec.phases)
    tokenizer = models.load_tokenizer(model)
    longest = settings.rollouts.max_prompt_tokens + settings.rollouts.max_response_tokens
    network = networks.load(model, longest)
    reference = networks.load(model, longest) if settings.kl_coef else None
    ends = _end_tokens(network, tokenizer, model)
    positions = networks.positions(network)
    sources = problem_files.load(spec, files, tokenizer, positions)
    asked = problem_files.load_validation(spec, validation, validation_settings, tokenizer, positions)
    team = networks.Team(network, work.threads, settings.mini_batch_prompts * settings.rollouts.samples, work.micro_batch_size)
    decoded = copy.copy(network)  # the same weights, with the forward pass that TRL and accelerate leave alone
    learner = Learner(
        settings,
        lambda step: sampler.step(step, learner.monitor.records),
        work.micro_batch_size,
        team,
        reference,
        monitor=LearnerMonitor(
            total,
            settings.prompts_per_step,
            on_empty_step,
            on_incomplete_step,
            validation_settings.every if asked else 0,
            lambda: sampler.validate(),
        ),
        model=network,
        args=_arguments(settings, work),
        train_dataset=Dataset.from_dict({"step": range(1, total + 1)}),
        processing_class=tokenizer,
    )
    rollouts = settings.rollouts
    decoder = Decoder(decoded, tokenizer, rollouts, ends, batch_size)
    if asked and validation_settings.greedy:
        rollouts = rollouts.model_copy(update={"temperature": 0.0, "top_p": 1.0})
    validator = Decoder(decoded, tokenizer, rollouts, ends, batch_size)
    sampler = Sampler(spec, sources, asked, decoder, validator, lambda: _decoding(decoded, team, settings))
    return learner


@contextmanager
def _decoding(network, team: networks.Team, settings: Grpo) -> Iterator[None]:
    """Within: the network generates. On a GPU in the precision of training; on a CPU, float32 is as fast as bfloat16."""
    network.eval()
    half = torch.cuda.is_available() and networks.precision(settings.precision) == torch.bfloat16
    with team.resting(), torch.autocast("cuda", torch.bfloat16, enabled=half):
        yield


def _end_tokens(network, tokenizer, model: Path) -> list[int]:
    if tokenizer.chat_template is None:
        raise UserError(f"{model}: the tokenizer has no chat template; add chat_template.jinja")
    if not (ends := end_tokens(network, tokenizer)):
        raise UserError(f"{model}: no end token; set eos_token_id in generation_config.json")
    return ends


def _arguments(settings: Grpo, work: Work) -> GRPOConfig:
    return GRPOConfig(
        **networks.arguments(settings, work),
        per_device_train_batch_size=settings.rollouts.samples,
        num_generations=settings.rollouts.samples,
        temperature=settings.rollouts.temperature,
        beta=0.0,  # the learner has a reference model of its own
        lr_scheduler_type="constant",  # the learner sets the rate
        logging_strategy="no",  # and its monitor records
    )
