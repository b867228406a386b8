"""Link the files of the last iteration under their final names. Links are relative, so a run can be moved as a whole."""

import os
from collections.abc import Iterable
from pathlib import Path

from fofg.data.files import replacing
from fofg.errors import UserError
from fofg.models.model_files import INDEX, used_weights, weight_files


def publish(pairs: Iterable[tuple[Path, Path]]) -> None:
    """Link each target under a final name, replacing a file or link of that name; pairs are (target, link).

    With an index of weights, its shards are linked too; links to an earlier model's weights are removed. Links are replaced
    atomically. Raises UserError, before any link is made, if a target is missing or the link itself, or a folder has the link's
    name.
    """
    resolved = [(_resolve_parent(target), _resolve_parent(link)) for target, link in pairs]
    for target, link in resolved:
        if not target.exists():
            raise UserError(f"{target}: no such file; make it first")
        if target == link:
            raise UserError(f"{link}: can't be a link to itself; give another name")
        if link.is_dir() and not link.is_symlink():
            raise UserError(f"{link}: a folder has this name; move it away")
    indexes = [(target.parent, link.parent) for target, link in resolved if target.name == INDEX]
    resolved += [(path, folder / path.name) for model, folder in indexes for path in used_weights(model)]
    for target, link in resolved:
        _replace(target, link)
    links = {link for _, link in resolved}
    for old in {path for link in links for path in weight_files(link.parent)} - links:
        if old.is_symlink():
            old.unlink()


def _resolve_parent(path: Path) -> Path:
    """Resolve links in a path's folder, but not in its last part."""
    return Path(os.path.realpath(path.parent), path.name)


def _replace(target: Path, link: Path) -> None:
    try:
        with replacing(link) as temporary:
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(os.path.relpath(target, link.parent))
    except OSError as error:
        raise UserError(f"{link}: can't be made a link ({error.strerror}); use a folder on a file system with links") from None
