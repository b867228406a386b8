"""Training engines: a function each, found by name or as ``package.module:function``.

It takes the arguments of ``fofg.training.sft.train`` or ``fofg.training.grpo.train`` as keywords; of those that affect only speed
and memory, it gets what ``how`` returns. It keeps its state under ``state`` alone, resumes from there after a kill, and writes a
model folder with ``metrics.jsonl`` and ``spec.json``; ``fofg.training.run.training_run`` does all of that.
"""

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import Literal

from fofg.errors import UserError

#: Kind of training, name in the configuration -> "module:function".
ENGINES = {
    "sft": {"torch": "fofg.training.sft:train", "verl": "fofg.training.verl.sft:train"},
    "rl": {"torch": "fofg.training.grpo:train", "verl": "fofg.training.verl.grpo:train"},
}


def find(kind: Literal["sft", "rl"], name: str) -> Callable:
    """Return an engine's training function. Raises UserError if it can't be loaded."""
    module, _, attribute = ENGINES[kind].get(name, name).partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        key = {"sft": "stage1.sft.engine, stage2.rft.sft.engine", "rl": "stage2.rl.engine"}[kind]
        raise UserError(f"{key}: {name} can't be loaded ({error}); install what it needs") from None


def how(options: argparse.Namespace, engine: str) -> dict:
    """Return an engine's arguments for speed, memory and the weights' files. Raises UserError for verl without GPUs or settings."""
    arguments = {"threads": options.threads, "one_file": options.one_file, "max_save_share": options.max_save_share}
    if engine != "torch":
        arguments |= {"gpus": options.gpus, "nodes": options.nodes}
    if engine != "verl":
        return arguments | {"micro_batch_size": options.micro_batch_size}
    if not (options.gpus and options.verl):
        raise UserError("--gpus, --verl: engine verl needs a GPU and its settings")
    return arguments | {"verl": options.verl}
