"""Find models: folders in Hugging Face format, or names on the hub."""

import re
from pathlib import Path

from fofg.errors import UserError, first_line
from fofg.models.model_files import SETTINGS


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


def is_here(base_model: str) -> bool:
    """Return whether a model is a folder, or a hub name that was downloaded before, perhaps in part."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(base_model).is_dir() or Path(HF_HUB_CACHE, f"models--{base_model.replace('/', '--')}").is_dir()


def check_name(base_model: str) -> None:
    """Raise UserError if a model is neither a folder nor a possible name on the hub."""
    if Path(base_model).is_file():
        raise UserError(f"base_model: {base_model} is a file; give the folder of a model in Hugging Face format")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", base_model) or base_model.startswith("."):
        raise UserError(f"base_model: no folder {base_model}; correct the path, or give a hub name such as owner/name")
