"""Find, check and prepare models: folders in Hugging Face format."""

import json
import re
import sys
from pathlib import Path

from fofg import model_files, weights
from fofg.data.files import staged, write_json, write_text
from fofg.errors import UserError, first_line
from fofg.model_files import SETTINGS, digest
from fofg.template_choice import choose


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
            f"base_model: no folder {base_model}, and the hub does not give a model of that name ({first_line(error)}); check the "
            "name or your connection, or download the model first (hf download NAME --local-dir FOLDER) and set base_model: FOLDER"
        ) from None


def check_name(base_model: str) -> None:
    """Raise UserError if a model is neither a folder nor a possible name on the hub."""
    if Path(base_model).is_file():
        raise UserError(f"base_model: {base_model} is a file; give the folder of a model in Hugging Face format")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", base_model) or base_model.startswith("."):
        raise UserError(f"base_model: no folder {base_model}; correct the path, or give a hub name such as owner/name")


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


def load_tokenizer(folder: Path):
    """Load the tokenizer of a folder. Raises UserError if there is none."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    # Without a configuration, AutoTokenizer takes the class of the model's type, and some of these rebuild the tokenizer.
    is_whole = (folder / "tokenizer.json").exists() and not (folder / "tokenizer_config.json").exists()
    kind = PreTrainedTokenizerFast if is_whole else AutoTokenizer
    try:
        return kind.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises plain Exception for a damaged file
        if "custom code" in str(error):
            raise UserError(
                f"{folder}: its tokenizer needs code of its own (auto_map in tokenizer_config.json), which is never run; give a "
                "model whose tokenizer transformers has"
            ) from None
        if (folder / "tokenizer.model").exists() and not (folder / "tokenizer.json").exists():
            raise UserError(
                f"{folder}: its tokenizer is in tokenizer.model alone; where sentencepiece is installed, add tokenizer.json with "
                "transformers: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
            ) from None
        raise UserError(f"{folder}: no readable tokenizer ({first_line(error)}); give a folder with tokenizer.json") from None


def load_chat_tokenizer(folder: Path):
    """Load a tokenizer that has a chat template. Raises UserError if it has none."""
    tokenizer = load_tokenizer(folder)
    templates = tokenizer.chat_template
    if isinstance(templates, dict) and "default" not in templates:
        raise UserError(
            f"{folder}: several chat templates, none of them named default ({', '.join(sorted(templates))}); write the one to use "
            "to chat_template.jinja, and remove the others"
        )
    if templates is None:
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
        raise weights.unreadable(folder, error) from None
    configured = generation.eos_token_id
    ends = {tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])} - {None}
    if not ends:
        raise UserError(f"{folder}: no end token; set eos_token_id in generation_config.json")
    return sorted(ends)


def diverged() -> UserError:
    """Return the error of a model whose logits are not finite."""
    return UserError("the model's logits are not finite: its training diverged; train it again with a lower learning_rate")


def prepare(base_model: str, output: str | Path, plain_prompt: bool, code: int = 0) -> None:
    """Prepare the folder that all stages start from: the base model's files, links to its weights, its chat template.

    ``base_model``: a folder or hub name. ``plain_prompt``: the template without its own system text (paper App. C). The template
    is always in ``chat_template.jinja``; it keeps answers as they are (fofg.chat_templates), and the token that ends one ends
    generation too. The files of an earlier run are replaced at the end. Raises UserError if the model is missing, damaged or can't
    be used.
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
