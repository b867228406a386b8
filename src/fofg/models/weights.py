"""Weights of models: link them into a prepared folder, load them, save them in as many files as before."""

import json
import math
import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from fofg.data.files import cure, write_json
from fofg.errors import UserError, first_line
from fofg.models import model_files


def provide(source: Path, output: Path) -> None:
    """Link safetensors; convert PyTorch's own format, which not all engines read. Raises UserError if weights lack or don't fit."""
    files = model_files.used_weights(source)
    if files[0].suffix == ".bin":
        save(load(source, "auto"), output, shards=len(files))
        return
    _check_names(source, files)
    for path in files:
        _link(path, output / path.name)
    if len(files) > 1:
        shutil.copyfile(source / model_files.INDEX, output / model_files.INDEX)


def _check_names(folder: Path, files: list[Path]) -> None:
    """Raise UserError if the files lack a weight, or have one of another shape; by their headers, without reading weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with torch.device("meta"):
            network = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder), trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise unreadable(folder, error) from None
    expected = {name: list(weight.shape) for name, weight in network.named_parameters()}
    stored = {name: tensor["shape"] for path in files for name, tensor in model_files.read_header(path).items()}
    misfits = [(name, stored[name], shape) for name, shape in expected.items() if stored.get(name, shape) != shape]
    # Where a file has other names too, transformers converts them when it loads the model, and then says what is missing.
    missing = set() if stored.keys() - expected.keys() else expected.keys() - stored.keys()
    _refuse(folder, missing, misfits)


def _refuse(folder: Path, missing: Collection[str], misfits: Collection[tuple]) -> None:
    """Raise UserError if weights are missing, or stored in another shape than expected (name, stored, expected)."""
    if missing:
        raise UserError(f"{folder}: its weights lack {', '.join(sorted(missing)[:3])} ({len(missing)} in all); {cure(folder)}")
    if misfits:
        name, stored, shape = min(misfits)
        raise UserError(f"{folder}: {name} is {list(stored)} in the weights, {list(shape)} by config.json; {cure(folder)}")


def relink(source: Path, prepared: Path, cache: str | os.PathLike | None = None) -> None:
    """Update the weight links of a prepared folder if ``source`` is the same model in a new place; else leave them.

    ``cache``: as of ``fofg.models.model_files.digest``.
    """
    weights = model_files.weight_files(prepared)
    # Links that still work are updated too: the old file may get other weights later.
    links = [link for link in weights if link.is_symlink() and link.resolve() != (source / link.name).resolve()]
    if not links or not source.is_dir():
        return
    with suppress(OSError, ValueError, KeyError):  # without its record, the folder is prepared again
        record = json.loads((prepared / "source.json").read_text(encoding="utf-8"))
        if record["source"] == model_files.digest(source, cache):
            for link in links:
                link.unlink()
                _link(source / link.name, link)


def load(folder: Path, dtype, **options):
    """Load a language model with weights of a torch ``dtype``; ``options``: of transformers' ``from_pretrained``.

    Raises UserError if it can't be read, or lacks a weight or has one of another shape: transformers would take random numbers.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, GenerationConfig

    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(  # a pair, whatever transformers declares
            folder, dtype=dtype, trust_remote_code=False, ignore_mismatched_sizes=True, output_loading_info=True, **options
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise unreadable(folder, error) from None
    network, report = loaded
    # A model's own sampling defaults play no part here, and unusual ones can't be saved.
    network.generation_config = GenerationConfig(eos_token_id=network.generation_config.eos_token_id)
    _refuse(folder, report["missing_keys"], report["mismatched_keys"])
    return network


def save(network, folder: Path, shards: int, largest: int | None = None) -> None:
    """Write a model's weights and configuration: weights in one file, or in about ``shards`` files of equal size and an index.

    ``largest``: bytes of the largest shard instead, so that the files of one model after another don't become more and more.
    The index gets the files' digest: whoever compares models by that one file, as Snakemake does, sees that the shards changed.
    """
    size = sum(weight.nbytes for weight in network.parameters())
    limit = min(largest or math.ceil(size / shards), size - 1)
    network.save_pretrained(folder, max_shard_size=limit if shards > 1 else 1 << 60)
    if shards > 1:
        index = json.loads((folder / model_files.INDEX).read_text(encoding="utf-8"))
        index["metadata"]["digest"] = model_files.digest(folder)
        write_json(folder / model_files.INDEX, index)


def stored_dtype(folder: Path):
    """Return the torch type in which weights are stored: as the configuration says, else as in the file."""
    import torch

    config = model_files.read_config(folder)
    if name := config.get("dtype") or config.get("torch_dtype"):
        return getattr(torch, name)
    path = model_files.used_weights(folder)[0]
    stored = {} if path.suffix == ".bin" else next(iter(model_files.read_header(path).values()))
    return {"BF16": torch.bfloat16, "F16": torch.float16}.get(stored.get("dtype", ""), torch.float32)


def unreadable(folder: Path, error: Exception) -> UserError:
    """Return the error of a model that can't be loaded."""
    return UserError(f"{folder}: not a readable model ({first_line(error)}); {cure(folder)}")


def _link(path: Path, link: Path) -> None:
    """Link a file, relatively below the working folder, else absolutely. Where links fail, use a hard link or a copy."""
    here = Path.cwd()
    near = path.absolute().is_relative_to(here) and link.absolute().is_relative_to(here)
    target = os.path.relpath(path.absolute(), link.absolute().parent) if near else path.absolute()
    for make in (lambda: link.symlink_to(target), lambda: link.hardlink_to(path.resolve()), lambda: shutil.copyfile(path, link)):
        try:
            make()
            return
        except OSError:
            link.unlink(missing_ok=True)
    raise UserError(f"{link}: can't be written; check the folder's rights and the free space")
