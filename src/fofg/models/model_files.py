"""Files of a model folder in Hugging Face format: which there are, whether a model can be used, their digest."""

import hashlib
import json
import os
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path

from fofg.data.files import cure, write_json
from fofg.errors import UserError

#: Weights, whole or in shards, with the index of shards.
WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "pytorch_model.bin.index.json")
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
#: Ends of the names of model classes that predict the next token.
_HEADS = ("CausalLM", "LMHeadModel", "ForConditionalGeneration")
#: Everything of a model but its weights: configuration, tokenizer, chat template, code.
SETTINGS = ("*.json", "*.jinja", "*.model", "*.txt", "*.py")
#: Files that the workflow adds to model folders.
RECORDS = {"source.json", "spec.json", "validation.json"}
#: Weight files up to this size are read whole for their digest, larger ones in as many evenly spaced bytes.
READ_WHOLE = 64 << 20
_BLOCKS = 256


def weight_files(folder: Path) -> list[Path]:
    """Return the weight files, including the index of shards."""
    return sorted(path for pattern in WEIGHTS for path in folder.glob(pattern))


def settings_files(folder: Path) -> list[Path]:
    """Return a model's files other than weights."""
    paths = {path for pattern in SETTINGS for path in folder.glob(pattern)}
    return sorted(path for path in paths - set(weight_files(folder)) if path.name not in RECORDS)


def used_weights(folder: Path) -> list[Path]:
    """Return the files with the weights that are used: one, or the shards that an index names; safetensors are preferred.

    Raises UserError for an unreadable index.
    """
    for whole in (WHOLE, "pytorch_model.bin"):
        index = folder / f"{whole}.index.json"
        if (folder / whole).exists():
            return [folder / whole]
        if index.exists():
            try:
                return [folder / name for name in sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))]
            except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
                raise UserError(f"{index}: not an index of weights ({error!r}); {cure(index)}") from None
    return [folder / WHOLE]


def in_shards(folder: Path) -> bool:
    """Return whether a model's weights are in several files."""
    return len(used_weights(folder)) > 1


def read_header(path: Path) -> dict[str, dict]:
    """Return name -> ``shape``, ``dtype`` and ``data_offsets`` of the tensors in a safetensors file.

    Raises UserError if it is missing, damaged or cut off. Format: https://github.com/huggingface/safetensors#format.
    """
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= path.stat().st_size - 8:
                raise ValueError("cut off")
            header = json.loads(file.read(length))
        tensors = {name: tensor for name, tensor in header.items() if name != "__metadata__"}
        if 8 + length + max(tensor["data_offsets"][1] for tensor in tensors.values()) != path.stat().st_size:
            raise ValueError("cut off")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give a folder with all of the model's weights") from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise UserError(f"{path}: damaged weights ({error}); {cure(path)}") from None
    return tensors


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


def positions(folder: Path) -> int | None:
    """Return the longest sequence that a model holds, in tokens; None if it has no limit."""
    config = read_config(folder)
    config = config.get("text_config") or config
    return config.get("max_position_embeddings") or config.get("n_positions")


def check(folder: Path) -> None:
    """Raise UserError unless configuration and weights are complete, and those of a language model. Loads no library."""
    if folder.is_file():
        raise UserError(f"{folder}: a file; give the folder of a model in Hugging Face format")
    if (folder / "adapter_config.json").exists():
        raise UserError(
            f"{folder}: an adapter (adapter_config.json); merge it into its model with PEFT's merge_and_unload(), save that with "
            "its tokenizer, and give that folder"
        )
    if (files := sorted(folder.glob("*.gguf"))) and not used_weights(folder)[0].exists():
        raise UserError(
            f"{folder}: weights in GGUF format alone; set base_model: {{gguf: {files[0]}, sha256: DIGEST}}, and it is converted"
        )
    config = read_config(folder)
    classes = config.get("architectures") or []
    if config.get("is_encoder_decoder") or (classes and not any(name.endswith(_HEADS) for name in classes)):
        raise UserError(
            f"{folder}: a {config['model_type']} ({', '.join(classes)}), which does not write text token by token; give a causal "
            "language model"
        )
    if config.get("quantization_config"):
        method = config["quantization_config"].get("quant_method", "unknown method")
        raise UserError(f"{folder}: its weights are quantized ({method}), which can't be trained; give a copy in bfloat16")
    for path in used_weights(folder):
        if path.suffix != ".bin":
            read_header(path)
        elif not path.exists():
            raise UserError(f"{path}: no such file; give a folder with all of the model's weights")
        elif not zipfile.is_zipfile(path):
            raise UserError(f"{path}: damaged weights ({'no zip file' if path.stat().st_size else 'empty'}); {cure(path)}")


def copy_settings(source: Path, target: Path) -> None:
    """Copy a model's files other than weights."""
    target.mkdir(parents=True, exist_ok=True)
    for path in settings_files(source):
        shutil.copyfile(path, target / path.name)


def digest(folder: Path, cache: str | os.PathLike | None = None) -> str:
    """Return the digest of the files that determine a model's results: configuration, tokenizer, template, weights.

    ``cache``: JSON file with digests of files by path, size and modification time, so that a model is read only once.
    """
    known = {}
    if cache is not None:
        with suppress(OSError, ValueError):
            known = json.loads(Path(cache).read_text(encoding="utf-8"))
    digests, total = {}, hashlib.blake2b(digest_size=16)
    for path in sorted([*settings_files(folder), *weight_files(folder)]):
        status = path.stat()
        key = f"{path.resolve()}:{status.st_size}:{status.st_mtime_ns}"
        digests[key] = known.get(key) or _file_digest(path)
        total.update(f"{path.name}\n{digests[key]}\n".encode())
    if cache is not None and not digests.keys() <= known.keys():
        with suppress(OSError):  # a folder that can't be written; then the model is read again next time
            write_json(cache, known | digests)
    return total.hexdigest()


def _file_digest(path: Path) -> str:
    size = path.stat().st_size
    total = hashlib.blake2b(str(size).encode(), digest_size=16)
    length, starts = size, [0]
    if size > READ_WHOLE:
        length = READ_WHOLE // _BLOCKS
        starts = [(size - length) * number // (_BLOCKS - 1) for number in range(_BLOCKS)]
    with open(path, "rb") as file:
        for start in starts:
            file.seek(start)
            total.update(file.read(length))
    return total.hexdigest()
