"""Graceful shutdown: save state on SIGTERM, on Ctrl-C, and shortly before a SLURM time limit."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TIME_LIMIT = "before the time limit"
CTRL_C = "by Ctrl-C"
#: Seconds a child program gets to exit before it is killed; part of the grace period.
END_SECONDS = 30.0
#: Signals that request a stop. SLURM sends SIGURG before a job's time limit, to all its processes, which ignore it by default.
_REASONS: dict[int, str] = {signal.SIGTERM: "by SIGTERM", signal.SIGINT: CTRL_C, signal.SIGURG: TIME_LIMIT}
_time_limit_near = threading.Event()


class Stop(threading.Event):
    """Event that is set when the program must save its state and exit; ``reason``: why, in words."""

    reason = ""

    def request(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.set()


def record_time_limit() -> None:
    """Start recording SIGURG for ``stoppable``; it may arrive while imports are still running."""
    signal.signal(signal.SIGURG, lambda number, frame: _time_limit_near.set())


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Make SIGTERM, SIGINT and SIGURG set the event instead of ending this process; a second SIGINT ends it. Main thread only."""
    stop = Stop()

    def handle(number: int, frame) -> None:
        stop.request(_REASONS[number])
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)

    # The handler only sets an event: the loop stops between two steps, where its state is consistent.
    before = {number: signal.signal(number, handle) for number in _REASONS}
    if _time_limit_near.is_set():  # the signal came before this block
        stop.request(TIME_LIMIT)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def request_stop(file: Path, reason: str) -> None:
    """Request a stop through a file, which programs on other nodes can see. The first reason is kept."""
    with suppress(FileExistsError), open(file, "x", encoding="utf-8") as new:
        new.write(reason)


def stop_reason(file: Path) -> str:
    """Return the reason in a stop file; empty if no stop is requested."""
    with suppress(FileNotFoundError):
        return file.read_text(encoding="utf-8")
    return ""


def grace_period() -> float:
    """Return the seconds between a stop request and SIGKILL (``FOFG_SAVE_SECONDS``, default 60)."""
    return float(os.environ.get("FOFG_SAVE_SECONDS") or 60)
