"""Upload a folder with its card to the Hugging Face hub."""

from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HFValidationError, HTTPError

from fofg.errors import UserError
from fofg.publish.cards import CARD

#: Files that stay here: those of subfolders (events of trackers, shards of rollouts), and hidden ones.
_IGNORED = ["*/*", ".*"]


def push(folder: str | Path, repository: str, public: bool = False) -> str:
    """Upload the files of a folder to a repository (``owner/name``), which is made if there is none. Return its address.

    A folder with config.json becomes a model, another one a dataset. Raises UserError without a card or a token, if the card is
    older than what it describes, and if the hub refuses or can't be reached.
    """
    card = Path(folder, CARD)
    if not card.is_file():
        raise UserError(f"{folder}: no {CARD}; `snakemake publish` writes the cards of a run, its models and datasets")
    for path in (*Path(folder).glob("metrics.jsonl"), *Path(folder).glob("*.parquet")):
        if card.stat().st_mtime < path.stat().st_mtime:
            raise UserError(
                f"{card}: older than {path.name}, so it describes an earlier one; remove it and run `snakemake publish` again"
            )
    if not get_token():
        raise UserError("no token for the hub; run `hf auth login`, or set HF_TOKEN to a token that may write")
    kind, api = "model" if Path(folder, "config.json").exists() else "dataset", HfApi(library_name="fofg")
    try:
        address = api.create_repo(repository, repo_type=kind, private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=repository, repo_type=kind, folder_path=folder, ignore_patterns=_IGNORED, commit_message="Upload with fofg"
        )
    except HFValidationError as error:
        raise UserError(f"{repository}: {_line(error)}; name it OWNER/NAME") from None
    except (HTTPError, OSError) as error:
        raise UserError(
            f"{repository}: not uploaded: {_line(error)}; check the name, the token's rights, and the network"
        ) from None
    return str(address)


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
