"""What trains models: one interface for fine-tuning, one for reinforcement learning, and the names of their implementations.

An engine is one module: an entry here, or named in the configuration as ``package.module:function``. The function takes the
arguments of ``fofg.training.sft_trl.train`` or ``fofg.training.grpo_trl.train`` as keywords; of those that only say how the work is
done, it gets what ``how`` says. It writes a model's folder with ``metrics.jsonl`` and ``spec.json`` (``networks.finish``), keeps
its state under ``state`` alone, goes on from there after a kill, and removes it at the end.
"""

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import Literal

from fofg.errors import UserError

#: Kind of training, name in the configuration -> "module:function".
ENGINES = {
    "sft": {"trl": "fofg.training.sft_trl:train", "verl": "fofg.training.sft_verl:train"},
    "rl": {"trl": "fofg.training.grpo_trl:train", "verl": "fofg.training.grpo_verl:train"},
}


def find(kind: Literal["sft", "rl"], name: str) -> Callable:
    """An engine's function. Raises UserError if it can't be loaded."""
    module, _, attribute = ENGINES[kind].get(name, name).partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        key = {"sft": "stage1.sft.engine, stage2.rft.sft.engine", "rl": "stage2.rl.engine"}[kind]
        if isinstance(error, ModuleNotFoundError) and error.name == "trl":
            raise UserError(
                f"{key}: {name} needs the package trl, which the GPU environment leaves out because verl can't start beside it; "
                "set engine: verl, or run in .venv (make env)"
            ) from None
        raise UserError(f"{key}: {name} can't be loaded ({error}); install what it needs") from None


def how(options: argparse.Namespace, engine: str) -> dict:
    """The arguments of an engine that say how the work is done. Raises UserError for verl without its own."""
    if engine == "trl":
        return {"micro_batch_size": options.micro_batch_size, "threads": options.threads}
    places = {"gpus": options.gpus, "nodes": options.nodes}
    if engine != "verl":
        return {"micro_batch_size": options.micro_batch_size, "threads": options.threads, **places}
    if not (options.gpus and options.verl):
        raise UserError("--gpus, --verl: engine verl needs a GPU and its settings")
    return {"verl": options.verl, "threads": options.threads, **places}
