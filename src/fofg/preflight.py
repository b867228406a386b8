"""Check the user's files before any job starts: models by their configuration and headers, rows by the first ones."""

import errno
import json
import os
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from fofg import specs
from fofg.config import Config, Rollouts, SFTConfig
from fofg.config.stage1 import COUNTDOWN
from fofg.data import reading
from fofg.errors import UserError
from fofg.models import model_files
from fofg.runtime import gpus
from fofg.tasks import task as tasks

#: Sections whose limits concern a model that is only evaluated.
_EVALUATIONS = ("evaluation.", "passk.")


def check(settings: Config) -> None:
    """Raise UserError for a model that can't be used, or holds fewer tokens than the configuration allows, and for unusable rows.

    A base model that isn't on this machine, or has yet to be downloaded or converted, is left to the job that prepares it.
    """
    tasks.check_data_source(settings.problems)
    reading.check(*specs.own_rows(settings))
    for key, folder in _folders(settings).items():
        model_files.check(folder)
        evaluated = key.startswith("use.models.")
        _check_positions(key, folder, (limit for limit in _limits(settings) if not evaluated or limit[0].startswith(_EVALUATIONS)))


def check_records(folder: Path, size: int = 1_000_000) -> None:
    """Raise UserError if ``size`` bytes can't be written to a folder, where Snakemake is about to keep its records."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix="probe-") as probe:
            probe.write(os.urandom(size))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        cure = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "make it writable"
        reason = f"{folder.absolute()}: {error.strerror}; Snakemake keeps its records there"
        raise UserError(f"{reason}: {cure}, or run in another folder: --directory FOLDER") from None


def repeat_check_of_records(folder: Path) -> None:
    """Print why Snakemake's records can't be written, if so. On a full disk Snakemake itself shows only tracebacks."""
    try:
        check_records(folder)
    except UserError as error:
        print(f"error: {error}", file=sys.__stderr__)


def missing_packages(settings: Config) -> Iterator[str]:
    """Yield a warning for each package of an engine, or of the task, that this Python lacks. Not all targets need them."""
    engines = {
        "rollout_engine.name": settings.rollout_engine.name,
        "stage1.sft.engine": settings.stage1.sft.engine,
        "stage2.rft.sft.engine": settings.stage2.rft.sft.engine,
        "stage2.rl.engine": settings.stage2.rl.engine,
    }
    for package in ("vllm", "verl"):
        keys = [key for key, engine in engines.items() if engine == package]
        if keys and find_spec(package) is None:
            yield f"{', '.join(keys)}: {package} is not installed for {sys.executable}; make env-gpu makes an environment with it"
    if "wandb" in settings.training.trackers and find_spec("wandb") is None:
        yield f"training.trackers: wandb is not installed for {sys.executable}; pip install wandb, or leave it out"
    try:
        tasks.check_packages(settings.problems.task)
    except UserError as error:
        yield f"problems.task: {error}"


def missing_gpus(settings: Config, requested: Collection[int]) -> str:
    """Return what is wrong if jobs request more GPUs than this process may use; empty if there are enough.

    ``requested``: numbers of GPUs that the jobs to run request.
    """
    keys = {
        "rollout_engine.gpus": settings.rollout_engine.gpus,
        "training.gpus": settings.training.gpus if settings.training.nodes == 1 else 0,
    }
    if not any(requested):
        return ""
    present = len(gpus.visible())
    too_many = [f"{key}: {number}" for key, number in keys.items() if number in requested and number > present]
    if not too_many:
        return ""
    visible = f"{present} GPUs are visible on this machine (nvidia-smi, CUDA_VISIBLE_DEVICES)"
    return f"{', '.join(too_many)}, but {visible}; lower it, or run on a cluster or another machine"


def check_countdown(settings: Config, packages: bool = True) -> None:
    """Raise UserError for what only the target countdown needs: models that exist, hold its responses, and can calculate.

    ``packages``: also look for the package that makes its problems, in this Python.
    """
    if packages:
        tasks.check_packages(COUNTDOWN)
    if error := settings.missing_for_countdown():
        raise UserError(error)
    sections = {name: getattr(settings.countdown, name) for name in ("rollouts", "test_rollouts")}
    folders = _folders(settings)
    for key, folder in folders.items():
        if not key.startswith("use.models.") or key.removeprefix("use.models.") in settings.countdown.models:
            _check_positions(key, folder, (_limit(f"countdown.{name}", limits) for name, limits in sections.items()))
    base = folders.get("base_model")
    if base and _knows_strings_alone(base / "spec.json"):
        raise UserError(
            f"base_model: {base} was taught no arithmetic, so no Countdown problem would be left to train on; add --configfile "
            "config/countdown-tiny.yaml, or name another model"
        )


def _knows_strings_alone(spec: Path) -> bool:
    """Return whether an embedded model's specification has no share of Countdown; False for all other models."""
    try:
        made = json.loads(spec.read_bytes())["tiny_base"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return not made.get("countdown")


def _folders(settings: Config) -> dict[str, Path]:
    """Return key -> folder of the models that the configuration names and that are here."""
    folders = {f"use.models.{name}": Path(folder) for name, folder in settings.use.models.items()}
    if settings.use.stage1_checkpoint:
        folders = {"use.stage1_checkpoint": Path(settings.use.stage1_checkpoint)} | folders
    if isinstance(settings.base_model, str) and Path(settings.base_model).exists():
        folders = {"base_model": Path(settings.base_model)} | folders
    return folders


def _check_positions(key: str, folder: Path, limits: Iterable[tuple[str, int]]) -> None:
    positions = model_files.positions(folder)
    for limit, tokens in limits:
        if positions is not None and tokens > positions:
            raise UserError(f"{limit}: {tokens} tokens, but {key} ({folder}) holds {positions}; lower it, or change the model")


def _limit(key: str, limits: Rollouts) -> tuple[str, int]:
    """Return the key that limits a sequence of rollouts, and the tokens that it allows."""
    if limits.long_prompts == "error":
        return f"{key}.max_prompt_tokens and max_response_tokens", limits.max_prompt_tokens + limits.max_response_tokens
    return f"{key}.max_response_tokens", limits.max_response_tokens + 1


def _limits(settings: Config) -> Iterator[tuple[str, int]]:
    """Yield the keys that limit sequences, and the tokens that they allow."""
    sections: dict[str, Rollouts] = {
        "stage1.rollouts": settings.stage1.rollouts,
        "stage2.rft.rollouts": settings.stage2.rft.rollouts,
        "stage2.rl.rollouts": settings.stage2.rl.rollouts,
        "evaluation.rollouts": settings.evaluation.rollouts,
        "passk.rollouts": settings.passk.rollouts,
    }
    for key, limits in sections.items():
        yield _limit(key, limits)
    sft: dict[str, SFTConfig] = {"stage1": settings.stage1.sft, "stage2.rft": settings.stage2.rft.sft}
    if settings.stage0.examples:
        sft["stage0"] = settings.stage0.sft
    for path, section in sft.items():
        yield f"{path}.sft.max_length", section.max_length
