"""Model folders in Hugging Face format: finding the base model, checking it, and its plain-prompt variant."""

import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from fofg.chat_templates import plain
from fofg.data.files import write_json, write_text
from fofg.digests import OURS, digest
from fofg.errors import UserError
from fofg.stages import PrepareBaseModel

#: Everything of a model but its weights: configuration, tokenizer, chat template, code.
SETTINGS = ("*.json", "*.jinja", "*.model", "*.txt", "*.py")
INDEX = "model.safetensors.index.json"


def find(base_model: str) -> Path:
    """The folder of ``base_model``: itself, or the snapshot of a hub name. Raises UserError if there is no such model."""
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
        reason = str(error).splitlines()[0][:200]
        raise UserError(
            f"base_model: no folder {base_model}, and the hub does not give a model of that name ({reason}); check the name or "
            f"your connection, or download it elsewhere (hf download {base_model} --local-dir FOLDER) and set base_model: FOLDER"
        ) from None


def check_name(base_model: str) -> None:
    """Raise UserError if a model that is no folder can't be on the hub either."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", base_model) or base_model.startswith("."):
        raise UserError(f"base_model: no folder {base_model}; correct the path, or give a hub name such as owner/name")


def weight_files(folder: Path) -> list[Path]:
    """Files of weights, with the index of several."""
    return sorted([*folder.glob("*.safetensors"), *folder.glob("*.safetensors.index.json")])


def settings_files(folder: Path) -> list[Path]:
    """A model's files other than weights."""
    found = {path for pattern in SETTINGS for path in folder.glob(pattern)}
    return sorted(path for path in found if path.name not in OURS and not path.name.endswith(".safetensors.index.json"))


def copy_settings(source: Path, target: Path) -> None:
    """Copies a model's files other than weights."""
    target.mkdir(parents=True, exist_ok=True)
    for path in settings_files(source):
        shutil.copyfile(path, target / path.name)


def read_config(folder: Path) -> dict:
    """``config.json``. Raises UserError if it is missing or no configuration."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder}/config.json: not a model's configuration ({error}); give a folder in Hugging Face format"
        ) from None
    return config


def check(folder: Path) -> None:
    """Raises UserError unless configuration, tokenizer and whole safetensors weights are there and fit together."""
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
    """The tokenizer of a folder. Raises UserError if there is none."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # the tokenizers library raises plain Exception for a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"{folder}: no readable tokenizer ({reason}); give a folder with tokenizer.json") from None


def positions(folder: Path) -> int | None:
    """The longest sequence that a model holds, in tokens; None if it has no limit."""
    config = read_config(folder)
    return config.get("text_config", config).get("max_position_embeddings")


def stored_dtype(folder: Path):
    """The torch type in which a model's configuration says that its weights are stored."""
    import torch

    config = read_config(folder)
    return getattr(torch, config.get("dtype") or config.get("torch_dtype") or "float32")


def prepare(spec: PrepareBaseModel, output: str | Path, model: str | None = None) -> None:
    """Makes the folder that all stages start from: the base model's files, weights as links, and its chat template.

    ``plain_prompt``: the template without a system text of its own (paper App. C). The template always is ``chat_template.jinja``.
    ``model``: the model's folder or hub name where the spec holds its digest. Raises UserError if it is missing, damaged or unfit.
    """
    source, output = find(model or spec.base_model), Path(output)
    check(source)
    template = chat_template(source, spec.plain_prompt)
    output.mkdir(parents=True, exist_ok=True)
    for old in output.iterdir():
        if old.is_file() or old.is_symlink():
            old.unlink()
    copy_settings(source, output)
    for path in weight_files(source):
        _link(path, output / path.name)
    if not all((output / name).exists() for name in ("tokenizer.json", "tokenizer_config.json")):
        load_tokenizer(source).save_pretrained(output)
    if not (output / "generation_config.json").exists():
        _write_generation_config(source, output)
    settings = json.loads((output / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings.pop("chat_template", None)
    write_json(output / "tokenizer_config.json", settings)
    write_text(output / "chat_template.jinja", template)
    # Stages take this file for all others: its content changes with any of them, but not with the place they came from.
    record = {"spec": spec.model_dump(mode="json", exclude={"base_model"}), "source": digest(source), "digest": digest(output)}
    write_json(output / "source.json", record)


def relink(source: Path, prepared: Path, cache: str | os.PathLike | None = None) -> None:
    """Point the weight links of a prepared folder to ``source`` if that is the same model in another place; else leave them.

    ``cache``: as of ``digest``.
    """
    # A link that still works is no exception: its file may get other weights, and then it is another model's.
    links = [link for link in weight_files(prepared) if link.is_symlink() and link.resolve() != (source / link.name).resolve()]
    if not links or not source.is_dir():
        return
    with suppress(OSError, ValueError, KeyError):  # without its record, the folder is prepared again
        record = json.loads((prepared / "source.json").read_text(encoding="utf-8"))
        if record["source"] == digest(source, cache):
            for link in links:
                link.unlink()
                _link(source / link.name, link)


def chat_template(folder: Path, plain_prompt: bool) -> str:
    """A model's chat template, or its plain variant. Raises UserError if it has none."""
    tokenizer = load_tokenizer(folder)
    try:
        template = tokenizer.get_chat_template()
    except ValueError:
        raise UserError(
            f"base_model: {folder} has no chat template; use an instruct model, or put a chat_template.jinja into its folder"
        ) from None
    return plain(tokenizer, template) if plain_prompt else template


def _weights_needed(folder: Path) -> list[Path]:
    if (folder / INDEX).exists():
        names = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()
        return [folder / name for name in sorted(set(names))]
    return [folder / "model.safetensors"]


def _check_weights(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:  # compares the size of the file with its header
            next(iter(file.keys()))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; the weights must be in safetensors format") from None
    except (SafetensorError, OSError, StopIteration) as error:
        raise UserError(f"{path}: damaged weights ({error or 'empty'}); download or make them again") from None


def _write_generation_config(source: Path, output: Path) -> None:
    from transformers import AutoConfig, GenerationConfig

    GenerationConfig.from_model_config(AutoConfig.from_pretrained(source)).save_pretrained(output)


def _link(path: Path, link: Path) -> None:
    """A link to a file: relative below the working folder, else absolute; a hard link or a copy where links can't be made."""
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
