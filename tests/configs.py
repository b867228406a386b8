"""Configurations for tests."""

from functools import reduce
from pathlib import Path

from fofg.config import Config, SFTConfig, TinyBase, load, merge, read

ROOT = Path(__file__).parents[1]
DEFAULT, PAPER, COUNTDOWN = (ROOT / f"config/{name}.yaml" for name in ("default", "paper", "countdown"))


def configured(*files: Path, **changes) -> Config:
    """Return the default configuration with overlays and changed keys; the embedded model is found from any folder."""
    values = read([DEFAULT])
    values["base_model"] = str(ROOT / values["base_model"])
    for overlay in (read(files), changes):
        merge(values, overlay)
    return load(values)


def nested(values: dict) -> dict:
    """Return a configuration of dotted keys."""
    made: dict = {}
    for key, value in values.items():
        merge(made, reduce(lambda inner, part: {part: inner}, reversed(key.split(".")), value))
    return made


def value_of(settings: Config, key: str):
    """Return the value of a dotted key, as in a file."""
    return reduce(lambda inner, part: inner[part], key.split("."), settings.model_dump(mode="json"))


def sft(**changes) -> SFTConfig:
    """Return settings of a fine-tuning run in full precision."""
    values = {"engine": "torch", "learning_rate": 5e-3, "epochs": 2, "batch_size": 8, "last_batch": "keep", "max_length": 200}
    values |= {"too_long": "error", "warmup_ratio": 0.1, "schedule": "cosine", "weight_decay": 0.0, "betas": (0.9, 0.999)}
    values |= {"loss_agg_mode": "token-mean", "max_grad_norm": 1.0, "precision": "float32", "seed": 1}
    return SFTConfig(**(values | changes))


def tiny_base(**changes) -> TinyBase:
    """Return settings of a pre-training run of seconds."""
    values = {"hidden_size": 32, "layers": 2, "heads": 2, "intermediate_size": 64, "steps": 10, "tokens_per_step": 1024}
    values |= {"learning_rate": 2e-3, "matrix_learning_rate": 2e-2, "error_rate": 0.3, "seed": 1}
    return TinyBase(**(values | changes))
