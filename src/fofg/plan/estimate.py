"""Hours and disk of a plan, from the throughputs and lengths that the section ``plan`` states."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fofg.config import Config
from fofg.errors import UserError
from fofg.plan import sampling, updates, weights
from fofg.plan.rules import Stage
from fofg.plan.targets import covered
from fofg.plan.weights import Size
from fofg.plan.work import Problems, Rollouts, Training, training_devices

#: Bytes a parameter of a checkpoint to resume from: float32 weights and AdamW's two moments.
STATE_BYTES = 12
#: Two checkpoints are kept while a third is written.
STATES = 3
_GB = 1e9
_HOUR = 3600


@dataclass(frozen=True)
class Cost:
    """What a row of the plan takes.

    ``hours``: of one GPU (or machine), expected; ``most_hours``: with every count at its most and every response as long as
    allowed; ``wall_hours``: expected, on all devices that it can use at once. ``kept_gb`` stays on disk, ``working_gb`` is needed
    meanwhile.
    """

    hours: float
    most_hours: float
    wall_hours: float
    kept_gb: float
    working_gb: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """A plan. ``devices``: GPUs that may be used at once, or 1: the machine; ``download_gb``: of a base model from the hub."""

    targets: list[str]
    unit: str
    devices: int
    model: Size
    problems: list[Problems]
    rollouts: list[tuple[Rollouts, Cost]]
    training: list[tuple[Training, Cost]]
    download_gb: float

    def costs(self) -> list[Cost]:
        return [cost for _, cost in [*self.rollouts, *self.training]]

    def total(self) -> Cost:
        """Sums; the hours on the clock are those of one row after another.

        As many training jobs hold checkpoints to resume from at once as fit on the devices: the largest are counted.
        """
        costs = self.costs()
        held = [row.devices for row, _ in self.training]
        side_by_side = max(1, self.devices // max(held, default=1))
        working = sorted((cost.working_gb for cost in costs), reverse=True)[:side_by_side]
        sums = {name: sum(getattr(cost, name) for cost in costs) for name in ("hours", "most_hours", "wall_hours", "kept_gb")}
        return Cost(**sums, working_gb=sum(working))


def estimate(settings: Config, names: Sequence[str], gpus: int | None = None) -> Estimate:
    """The plan of some targets. ``gpus``: to be used at once, null: as many as the largest job asks for.

    Raises UserError for an unknown target, too few GPUs, or a file of the user's own that can't be read.
    """
    stages = covered(settings, names)
    devices = _devices(settings, gpus)
    model = weights.of_base_model(settings)
    downloads = Stage("prepare_base_model") in stages and not Path(settings.base_model).is_dir()
    return Estimate(
        targets=list(names),
        unit=unit(settings),
        devices=devices,
        model=model,
        problems=sampling.problems(settings, stages),
        rollouts=[(row, _of_rollouts(settings, row, devices)) for row in sampling.rollouts(settings, stages)],
        training=[(row, _of_training(settings, row, devices, model)) for row in updates.training(settings, stages)],
        download_gb=model.stored / _GB if downloads else 0.0,
    )


def unit(settings: Config) -> str:
    """What hours are counted of: GPUs if any job asks for one, else the machine as it is."""
    return "GPU" if settings.rollout_engine.gpus or settings.training.gpus else "machine"


def _devices(settings: Config, gpus: int | None) -> int:
    needed = max(training_devices(settings), settings.rollout_engine.gpus)
    if gpus is None:
        return needed
    if unit(settings) == "machine":
        raise UserError("--gpus: no job asks for a GPU; set rollout_engine.gpus and training.gpus")
    if gpus < needed:
        raise UserError(f"--gpus: {gpus}, but one job asks for {needed}; lower rollout_engine.gpus, training.gpus or nodes")
    return gpus


def _of_rollouts(settings: Config, row: Rollouts, devices: int) -> Cost:
    """(response tokens / throughput + jobs * start * devices a job) / 3600 hours."""
    plan = settings.plan
    starts = row.jobs * plan.start_seconds * row.devices
    hours = (row.expected_tokens / plan.rollout_tokens_per_second + starts) / _HOUR
    return Cost(
        hours=hours,
        most_hours=(row.response_tokens / plan.rollout_tokens_per_second + starts) / _HOUR,
        wall_hours=hours / min(devices, max(1, row.devices, row.jobs / row.rounds * row.devices)),
        kept_gb=row.expected_tokens * plan.bytes_per_token * row.copies / _GB,
    )


def _of_training(settings: Config, row: Training, devices: int, model: Size) -> Cost:
    """(tokens / throughput + (jobs * start + steps * rl_step_seconds) * devices a job) / 3600 hours."""
    plan = settings.plan
    throughput = {
        "train_sft": plan.sft_tokens_per_second,
        "train_rl": plan.rl_tokens_per_second,
        "build_tiny_base": plan.pretraining_tokens_per_second,
    }[row.rule]
    beside = row.jobs * plan.start_seconds + (row.steps.most * plan.rl_step_seconds if row.rule == "train_rl" else 0)
    hours = (row.expected_tokens / throughput + beside * row.devices) / _HOUR
    return Cost(
        hours=hours,
        most_hours=(row.tokens / throughput + beside * row.devices) / _HOUR,
        wall_hours=hours / min(devices, row.devices),
        kept_gb=row.jobs * model.stored / _GB if row.checkpoints else 0.0,
        working_gb=STATES * STATE_BYTES * model.parameters / _GB if row.checkpoints else 0.0,
    )
