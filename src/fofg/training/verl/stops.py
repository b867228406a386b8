"""A wish that a run of verl's saves and ends: a file in its folder, which every process of the run can write and see."""

import os
import socket
from contextlib import suppress
from pathlib import Path

#: verl's trainers write the step of their last complete checkpoint here.
_TRACKER = "latest_checkpointed_iteration.txt"


def ask(file: Path, reason: str) -> None:
    """Several may ask at once; the first reason stays."""
    written = file.with_name(f".{file.name}.{socket.gethostname()}-{os.getpid()}")
    written.write_text(reason, encoding="utf-8")
    with suppress(FileExistsError):
        os.link(written, file)
    written.unlink()


def asked(file: Path) -> str:
    """The reason of the wish; empty if there is none."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def last_step(folder: Path) -> int:
    """Step of the last complete checkpoint in a run's folder; 0 if there is none."""
    try:
        return int((folder / _TRACKER).read_text())
    except (OSError, ValueError):
        return 0


def told(reason: str, step: int, total: int) -> str:
    """The error of a run that was asked to stop; ``step``: that of its last checkpoint."""
    return f"stopped {reason} after step {step} of {total}; run the same command to resume"
