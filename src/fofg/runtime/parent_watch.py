"""One process at a time works on a result, and none outlives the Snakemake that started it."""

import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fofg.errors import UserError
from fofg.runtime.signals import grace_period

_held: list[IO] = []


def stop_with_supervisor(poll_seconds: float = 0.25) -> None:
    """Ends this process soon after the process named by ``FOFG_SUPERVISOR`` has gone (killed, say).

    First by SIGTERM, so that a program can save its state, after ``grace_period`` by SIGKILL. Without the variable: nothing.
    """
    supervisor = os.environ.get("FOFG_SUPERVISOR", "")
    if not supervisor.isdigit() or not started(int(supervisor)):
        return
    born = started(int(supervisor))

    def watch() -> None:
        while started(int(supervisor)) == born:
            time.sleep(poll_seconds)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_period())
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()


def started(pid: int) -> str | None:
    """Start time of a living process, which tells it from a later one of the same number; None if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except OSError:
        return None


@contextmanager
def exclusive(state: str | os.PathLike, patience_seconds: float | None = None) -> Iterator[None]:
    """Holds the lock of a state folder, waiting for a process that is about to end: as long as it may take to save, and a minute.

    Raises UserError if it stays taken.
    """
    path = Path(f"{state}.lock")
    patience_seconds = grace_period() + 60 if patience_seconds is None else patience_seconds
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience_seconds
    told = False
    while (lock := _locked(path)) is None:
        if time.monotonic() > deadline:
            holder = path.read_text(encoding="utf-8") if path.exists() else ""
            raise UserError(f"{state}: process {holder or '?'} is still at this work; wait for it or end it")
        if not told:
            print(f"waiting: another process works in {state}", file=sys.stderr, flush=True)
            told = True
        time.sleep(min(2.0, patience_seconds / 10))
    _held.append(lock)
    try:
        yield
    finally:
        _held.remove(lock)
        path.unlink(missing_ok=True)
        lock.close()


def held() -> list[int]:
    """Descriptors of this process's locks on working state; a process that inherits them holds them too."""
    return [lock.fileno() for lock in _held]


def _locked(path: Path):
    """The open, locked file, with this process's number in it; None if another process has it."""
    lock = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - stays open as long as the lock is held
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The one who held it may have removed the file between our opening and locking it.
        if os.stat(path).st_ino != os.fstat(lock.fileno()).st_ino:
            raise BlockingIOError
    except (BlockingIOError, FileNotFoundError):
        lock.close()
        return None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock
