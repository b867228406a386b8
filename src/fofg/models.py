"""Find, check and prepare models: folders in Hugging Face format."""

import json
import os
import re
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path

from fofg.chat_templates import plain
from fofg.data.files import cure, write_json, write_text
from fofg.errors import UserError
from fofg.model_files import SETTINGS, copy_settings, digest, weight_files


def find(base_model: str) -> Path:
    """Return the folder of ``base_model``: itself, or the snapshot of a hub name. Raises UserError if there is no such model."""
    if Path(base_model).is_dir():
        return Path(base_model)
    check_name(base_model)
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(huggingface_hub.snapshot_download(base_model, allow_patterns=[*SETTINGS, "*.safetensors"]))
    except RepositoryNotFoundError:
        raise UserError(
            f"base_model: {base_model} is neither a folder nor a model on the hub; correct it, or log in if it is gated"
        ) from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise UserError(
            f"base_model: no folder {base_model}, and the hub does not give a model of that name ({_reason(error)}); check the "
            "name or your connection, or download the model first (hf download NAME --local-dir FOLDER) and set base_model: FOLDER"
        ) from None


def check_name(base_model: str) -> None:
    """Raise UserError if a model is neither a folder nor a possible name on the hub."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", base_model) or base_model.startswith("."):
        raise UserError(f"base_model: no folder {base_model}; correct the path, or give a hub name such as owner/name")


def read_config(folder: Path) -> dict:
    """Read ``config.json``. Raises UserError if it is missing or no model configuration."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config["model_type"]
    except FileNotFoundError:
        raise UserError(f"{folder}: no config.json; a model is a folder in Hugging Face format") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}: config.json is no model configuration ({error}); {cure(folder)}") from None
    return config


def check(folder: Path) -> None:
    """Raise UserError unless configuration, tokenizer and complete weights are there and fit together."""
    config = read_config(folder)
    for path in _weights_needed(folder):
        _check_weights(path)
    tokenizer = load_tokenizer(folder)
    rows = config.get("vocab_size") or config.get("text_config", {}).get("vocab_size")
    if rows is not None and len(tokenizer) > rows:
        raise UserError(
            f"{folder}: its tokenizer has {len(tokenizer)} tokens, more than the model's vocab_size: {rows}; fix one of them"
        )


def load_tokenizer(folder: Path):
    """Load the tokenizer of a folder. Raises UserError if there is none."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # the tokenizers library raises plain Exception for a damaged file
        raise UserError(f"{folder}: no readable tokenizer ({_reason(error)}); give a folder with tokenizer.json") from None


def load_chat_tokenizer(folder: Path):
    """Load a tokenizer that has a chat template. Raises UserError if it has none."""
    tokenizer = load_tokenizer(folder)
    if tokenizer.chat_template is None:
        raise UserError(
            f"{folder}: the tokenizer has no chat template; use an instruct model, or add chat_template.jinja to the folder"
        )
    return tokenizer


def end_tokens(folder: Path, tokenizer) -> list[int]:
    """Return every token that ends a response: the tokenizer's end token, and those of the model's generation settings.

    Raises UserError if there is none.
    """
    from transformers import AutoConfig, GenerationConfig

    try:
        if (folder / "generation_config.json").is_file():
            generation = GenerationConfig.from_pretrained(folder)
        else:
            generation = GenerationConfig.from_model_config(AutoConfig.from_pretrained(folder))
    except (OSError, ValueError, KeyError) as error:
        raise unreadable(folder, error) from None
    configured = generation.eos_token_id
    ends = {tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])} - {None}
    if not ends:
        raise UserError(f"{folder}: no end token; set eos_token_id in generation_config.json")
    return sorted(ends)


def unreadable(folder: Path, error: Exception) -> UserError:
    """Return the error of a model that can't be loaded."""
    return UserError(f"{folder}: not a readable model ({_reason(error)}); {cure(folder)}")


def diverged() -> UserError:
    """Return the error of a model whose logits are not finite."""
    return UserError("the model's logits are not finite: its training diverged; train it again with a lower learning_rate")


def positions(folder: Path) -> int | None:
    """Return the longest sequence that a model holds, in tokens; None if it has no limit."""
    config = read_config(folder)
    return config.get("text_config", config).get("max_position_embeddings")


def stored_dtype(folder: Path):
    """Return the torch type in which a model's configuration says that its weights are stored."""
    import torch

    config = read_config(folder)
    return getattr(torch, config.get("dtype") or config.get("torch_dtype") or "float32")


def prepare(base_model: str, output: str | Path, plain_prompt: bool, code: int = 0) -> None:
    """Prepare the folder that all stages start from: the base model's files, links to its weights, its chat template.

    ``base_model``: a folder or hub name. ``plain_prompt``: the template without its own system text (paper App. C). The template
    is always in ``chat_template.jinja``. Raises UserError if the model is missing, damaged or can't be used.
    """
    source, output = find(base_model), Path(output)
    check(source)
    tokenizer = load_chat_tokenizer(source)
    template = plain(tokenizer, tokenizer.get_chat_template()) if plain_prompt else tokenizer.get_chat_template()
    output.mkdir(parents=True, exist_ok=True)
    for old in output.iterdir():
        if old.is_file() or old.is_symlink():
            old.unlink()
    copy_settings(source, output)
    _provide_weights(source, output)
    if not all((output / name).exists() for name in ("tokenizer.json", "tokenizer_config.json")):
        tokenizer.save_pretrained(output)
    if not (output / "generation_config.json").exists():
        _write_generation_config(source, output)
    settings = json.loads((output / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings.pop("chat_template", None)
    write_json(output / "tokenizer_config.json", settings)
    write_text(output / "chat_template.jinja", template)
    # This file stands in for all others: its content changes with any of them, but not with the folder they came from.
    record = {"spec": {"plain_prompt": plain_prompt, "code": code}, "source": digest(source), "digest": digest(output)}
    write_json(output / "source.json", record)


def relink(source: Path, prepared: Path, cache: str | os.PathLike | None = None) -> None:
    """Update the weight links of a prepared folder if ``source`` is the same model in a new place; else leave them.

    ``cache``: as of ``digest``.
    """
    # Links that still work are updated too: the old file may get other weights later.
    links = [link for link in weight_files(prepared) if link.is_symlink() and link.resolve() != (source / link.name).resolve()]
    if not links or not source.is_dir():
        return
    with suppress(OSError, ValueError, KeyError):  # without its record, the folder is prepared again
        record = json.loads((prepared / "source.json").read_text(encoding="utf-8"))
        if record["source"] == digest(source, cache):
            for link in links:
                link.unlink()
                _link(source / link.name, link)


def _weights_needed(folder: Path) -> list[Path]:
    """Return a model's weight files: one, or the shards listed in an index; safetensors are preferred."""
    for whole in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{whole}.index.json"
        if (folder / whole).exists():
            return [folder / whole]
        if index.exists():
            try:
                return [folder / name for name in sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))]
            except (ValueError, KeyError, AttributeError, TypeError) as error:
                raise UserError(f"{index}: not an index of weights ({error!r}); {cure(index)}") from None
    return [folder / "model.safetensors"]


def _check_weights(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        if path.suffix == ".bin":
            if not zipfile.is_zipfile(path):
                raise OSError("no zip file" if path.stat().st_size else "")
            return
        with safe_open(path, "pt") as file:  # compares the size of the file with its header
            next(iter(file.keys()))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give a folder with all of the model's weights") from None
    except (SafetensorError, OSError, StopIteration) as error:
        raise UserError(f"{path}: damaged weights ({error or 'empty'}); {cure(path)}") from None


def _provide_weights(source: Path, output: Path) -> None:
    """Link safetensors; convert PyTorch's own format, which not all engines read."""
    if _weights_needed(source)[0].suffix == ".bin":
        from transformers import AutoModelForCausalLM

        AutoModelForCausalLM.from_pretrained(source, dtype="auto").save_pretrained(output)
        shutil.copyfile(source / "config.json", output / "config.json")
        return
    for path in source.glob("*.safetensors*"):
        _link(path, output / path.name)


def _write_generation_config(source: Path, output: Path) -> None:
    from transformers import AutoConfig, GenerationConfig

    GenerationConfig.from_model_config(AutoConfig.from_pretrained(source)).save_pretrained(output)


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


def _reason(error: Exception) -> str:
    """Return the first line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
