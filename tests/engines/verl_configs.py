"""verl's configurations with our overrides, composed as its trainers do."""

from pathlib import Path

from hydra import compose, initialize_config_module

from fofg import config
from fofg.config import Config
from fofg.config.loading import merge
from fofg.training.verl import settings
from fofg.training.verl.settings import LaunchConfig

ROOT = Path(__file__).parents[2]
OVERLAYS = ("paper.yaml", "gpu-tiny.yaml")


def load(overlay: str, changes: dict | None = None) -> Config:
    """Load the default configuration with an overlay and changes of single keys."""
    values = config.read([ROOT / "config/default.yaml", ROOT / "config" / overlay])
    merge(values, changes or {})
    return config.load(values)


def place(chosen: Config, folder: Path, model: Path, save_every: int, positions: int | None = 131072) -> LaunchConfig:
    return LaunchConfig(chosen.training.gpus, chosen.training.nodes, 4, folder, save_every, model, positions)


def grpo(chosen: Config, where: LaunchConfig, train: Path, validation_file: Path, steps: int, validates_first: bool, **rl) -> dict:
    """Return settings of verl's trainer; ``rl``: changes of keys of stage2.rl."""
    section, verl = chosen.stage2.rl.model_copy(update=rl), chosen.training.verl
    given = section, chosen.scoring, verl, where, validation_file, section.validation, "train"
    return settings.grpo(*given, train, steps, validates_first)


def composed(name: str, values: dict, *more: str):
    """Compose ``ppo_trainer`` or ``sft_trainer_engine`` with nested settings, and ``more`` overrides."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose(name, [*settings.overrides(values), *more])


def rl(folder: Path, model: Path, rl_changes: dict, *more: str, scoring: dict | None = None):
    """Compose the RL configuration of gpu-tiny.yaml with changes of ``stage2.rl``.

    Its problems are ``t.parquet`` and ``v.parquet`` in the folder.
    """
    chosen = load("gpu-tiny.yaml", {"stage2": {"rl": rl_changes}, "scoring": scoring or {}})
    where = place(chosen, folder, model, 25, positions=512)
    problems = folder / "t.parquet", folder / "v.parquet"
    values = grpo(chosen, where, *problems, 10, False)
    return composed("ppo_trainer", values, *more)
