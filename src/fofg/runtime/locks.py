"""File locks that the kernel releases when their process, and every program that inherited them, has exited."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import lock_descriptor

from fofg.errors import UserError
from fofg.runtime.signals import grace_period

_held: set[int] = set()


def try_lock(path: str | os.PathLike, create: bool = True) -> int | None:
    """Lock a file and return its descriptor; None if another process holds it. Does not wait.

    Raises FileNotFoundError if there is no such file and ``create`` is false.
    """
    mask = os.umask(0)  # jobs of other users lock the same GPUs
    try:
        descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o666)
    finally:
        os.umask(mask)
    # A holder that exits removes the file, perhaps between our opening and locking it. A file without a name locks nobody out.
    if lock_descriptor(descriptor, blocking=False) and os.fstat(descriptor).st_nlink:
        os.utime(descriptor)  # programs that clean temporary folders spare new files
        _held.add(descriptor)
        return descriptor
    os.close(descriptor)
    return None


def unlock(descriptor: int) -> None:
    """Release a lock. Programs that inherited it hold it until they exit."""
    _held.discard(descriptor)
    os.close(descriptor)


def is_locked(path: str | os.PathLike) -> bool:
    """Return whether a process, this one included, holds a lock file."""
    return Path(path).exists() and not was_left(path)


def was_left(path: str | os.PathLike) -> bool:
    """Return whether a lock file is there, and nobody holds it."""
    try:
        descriptor = try_lock(path, create=False)
    except FileNotFoundError:
        return False
    if descriptor is not None:
        unlock(descriptor)
    return descriptor is not None


def held() -> list[int]:
    """Return the descriptors of this process's locks; a program that inherits them holds them too."""
    return sorted(_held)


@contextmanager
def exclusive(state: str | os.PathLike, patience_seconds: float | None = None) -> Iterator[None]:
    """Hold the lock of a state folder, ``STATE.lock``.

    Wait for a process that is about to exit: by default as long as saving may take, and a minute more. Raises UserError if the
    lock is still held then.
    """
    path = Path(f"{state}.lock")
    patience_seconds = grace_period() + 60 if patience_seconds is None else patience_seconds
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline, waiting = time.monotonic() + patience_seconds, False
    while (lock := try_lock(path)) is None:
        if time.monotonic() > deadline:
            holder = path.read_text(encoding="utf-8") if path.exists() else ""
            raise UserError(f"{state}: process {holder or '?'} is still at this work; wait for it or end it")
        if not waiting:
            print(f"waiting: another process works in {state}", file=sys.stderr, flush=True)
            waiting = True
        time.sleep(min(2.0, patience_seconds / 10))
    os.truncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        unlock(lock)
