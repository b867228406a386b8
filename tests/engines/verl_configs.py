"""verl's own configurations with our overrides, as its trainers compose them."""

from pathlib import Path

from hydra import compose, initialize_config_module

from fofg import config
from fofg.config import Config
from fofg.config.reading import merge
from fofg.training.verl import settings
from fofg.training.verl.settings import Place

ROOT = Path(__file__).parents[2]
OVERLAYS = ("paper.yaml", "gpu-tiny.yaml")


def load(overlay: str, changes: dict | None = None) -> Config:
    """The default configuration with an overlay, and with changes of single keys."""
    values = config.read([ROOT / "config/default.yaml", ROOT / "config" / overlay])
    merge(values, changes or {})
    return config.load(values)


def place(chosen: Config, folder: Path, model: Path, save_every: int, positions: int | None = 131072) -> Place:
    return Place(chosen.training.gpus, chosen.training.nodes, folder, save_every, model, positions)


def composed(name: str, values: dict, *more: str):
    """``ppo_trainer`` or ``sft_trainer_engine`` with nested settings, and with overrides as they are."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose(name, [*settings.overrides(values), *more])
