"""What cards of models and datasets share: the base model's license, the project's commit, the file itself."""

import subprocess
from contextlib import suppress
from pathlib import Path

from huggingface_hub import CardData, ModelCard, RepoCard

import fofg
from fofg.config.types import CHECKOUT
from fofg.data.files import write_text

CARD = "README.md"
TAGS = ["fofg"]
PAPER = "[arXiv 2509.25123](https://arxiv.org/abs/2509.25123)"
#: License of what the project makes without a model, as of its code.
LICENSE = "apache-2.0"


def write(folder: str | Path, data: CardData, text: str) -> None:
    """Write a folder's card: the hub's YAML header, then ``text`` (Markdown). The header is checked by the hub's own parser."""
    content = f"---\n{data.to_yaml()}\n---\n\n{text.strip()}\n\n{_made_by()}"
    RepoCard(content)
    write_text(Path(folder, CARD), content)


def license_of(model: str | Path) -> str | None:
    """Return the license that the card in a model's folder states; None if it states none, or the model is a name on the hub."""
    with suppress(OSError, ValueError):
        return ModelCard.load(Path(model, CARD), ignore_metadata_errors=True).data.license
    return None


def license_note(base_model: str, license: str | None) -> str:
    """Return a sentence on the license of what is made with a base model."""
    if license:
        return f"License: {license}, that of the base model ({base_model})."
    return (
        f"License: the base model's ({base_model}) applies; its folder has no card that states one, so look it up before you share."
    )


def _made_by() -> str:
    """Return a line on the version and the commit of the project that wrote a card."""
    commit = ""
    with suppress(OSError, subprocess.SubprocessError):
        command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
        commit = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    return f"Card written by fofg {fofg.__version__}{f', commit {commit}' if commit else ''}.\n"
