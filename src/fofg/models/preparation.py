"""Check and prepare models: folders in Hugging Face format."""

import json
import sys
from pathlib import Path

from fofg.data.files import staged, write_json, write_text
from fofg.errors import UserError
from fofg.models import model_files, weights
from fofg.models.finding import find
from fofg.models.model_files import digest
from fofg.models.template_choice import choose
from fofg.models.tokenizers import load_chat_tokenizer, load_tokenizer


def check(folder: Path) -> None:
    """Raise UserError unless configuration, tokenizer and complete weights are there and fit together."""
    model_files.check(folder)
    config = model_files.read_config(folder)
    _check_type(folder, config)
    tokenizer = load_tokenizer(folder)
    rows = config.get("vocab_size") or config.get("text_config", {}).get("vocab_size")
    if rows is not None and len(tokenizer) > rows:
        raise UserError(
            f"{folder}: its tokenizer has {len(tokenizer)} tokens, more than the model's vocab_size: {rows}; fix one of them"
        )


def _check_type(folder: Path, config: dict) -> None:
    """Raise UserError unless transformers itself has the model's code: code in the folder is never run."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if config["model_type"] not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        own = "brings its own code (auto_map), which is never run, and " if "auto_map" in config else ""
        raise UserError(
            f"{folder}: {own}is of type {config['model_type']}, of which transformers has no causal language model; give a model "
            "of a type that it has"
        )


def prepare(base_model: str, output: str | Path, plain_prompt: bool, code: int = 0) -> None:
    """Prepare the folder that all stages start from: the base model's files, links to its weights, its chat template.

    ``base_model``: a folder or hub name. ``plain_prompt``: the template without its own system text (paper App. C). The template
    is always in ``chat_template.jinja``; it keeps answers as they are (fofg.models.chat_templates), and the token that ends one
    ends generation too. The files of an earlier run are replaced at the end. Raises UserError if the model is missing, damaged or
    can't be used.
    """
    from transformers import AutoConfig, GenerationConfig

    source, output = find(base_model), Path(output)
    check(source)
    if output.resolve() == source.resolve():
        raise UserError(f"base_model: {source} is the folder of the prepared model; give another, or move the model")
    tokenizer = load_chat_tokenizer(source)
    chosen = choose(tokenizer, plain_prompt, base_model)
    if chosen.changes:
        changes = " and ".join(chosen.changes)
        print(f"{base_model}: its chat template {changes}; replaced by its turns without that", file=sys.stderr)
    with staged(output, replaces=("*",)) as folder:
        weights.provide(source, folder)
        model_files.copy_settings(source, folder)
        _write_tokenizer(source, folder, tokenizer, chosen.end_token)
        if not (folder / "generation_config.json").exists():
            GenerationConfig.from_model_config(AutoConfig.from_pretrained(source)).save_pretrained(folder)
        write_text(folder / "chat_template.jinja", chosen.template)
        _end_generation(folder, chosen.end_token, tokenizer.convert_tokens_to_ids(chosen.end_token))
        # This file stands in for all others: its content changes with any of them, but not with the folder they came from.
        record = {"spec": {"plain_prompt": plain_prompt, "code": code}, "source": digest(source), "digest": digest(folder)}
        write_json(folder / "source.json", record)


def _write_tokenizer(source: Path, folder: Path, tokenizer, end_token: str) -> None:
    """Complete the tokenizer's copied files: those that only older formats lack, and an end token, which verl pads with."""
    if not all((folder / name).exists() for name in ("tokenizer.json", "tokenizer_config.json")):
        tokenizer.chat_template = None
        tokenizer.save_pretrained(folder)
        model_files.copy_settings(source, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings.pop("chat_template", None)
    if tokenizer.eos_token is None:
        settings["eos_token"] = end_token
    write_json(folder / "tokenizer_config.json", settings)


def _end_generation(folder: Path, token: str, number: int) -> None:
    """Add the token that ends an answer to those that end generation, which are others in many base models."""
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    ends = settings.get("eos_token_id")
    ends = [] if ends is None else ends if isinstance(ends, list) else [ends]
    if number not in ends:
        print(f"{token} ends an answer in the chat template, but no generation; added to generation_config.json", file=sys.stderr)
        write_json(path, settings | {"eos_token_id": [*ends, number]})
