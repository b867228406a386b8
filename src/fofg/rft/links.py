"""Final names for the files of the last iteration: relative symbolic links, so that a run can be moved as a whole."""

import os
from collections.abc import Iterable
from pathlib import Path

from fofg.errors import UserError

Pair = tuple[Path, Path]


def publish(pairs: Iterable[Pair]) -> None:
    """Makes a link to each target, in place of whatever file or link has its name; pairs are (target, link).

    A name is never without its file in between. Raises UserError, before any link is made, if a target is missing or the link
    itself, or a folder has the link's name.
    """
    places = [(_place(target), _place(link)) for target, link in pairs]
    for target, link in places:
        if not target.exists():
            raise UserError(f"{target}: no such file; make it first")
        if target == link:
            raise UserError(f"{link}: can't be a link to itself; give another name")
        if link.is_dir() and not link.is_symlink():
            raise UserError(f"{link}: a folder has this name; move it away")
    for target, link in places:
        _replace(target, link)


def _place(path: Path) -> Path:
    """Where a path lies, through links on the way to it but not through itself."""
    return Path(os.path.realpath(path.parent), path.name)


def _replace(target: Path, link: Path) -> None:
    temporary = link.with_name(f".{link.name}.partial")
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(os.path.relpath(target, link.parent))
        os.replace(temporary, link)
    except OSError as error:
        raise UserError(f"{link}: can't be made a link ({error.strerror}); use a folder on a file system with links") from None
