"""A program that is asked to end saves what it has first: on SIGTERM, and when SLURM says that its time is nearly up."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_urged = threading.Event()


class Stop(threading.Event):
    """Set when this program is asked to save its state and end; ``reason``: by what, in words."""

    reason = ""

    def ask(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.set()


TIME_LIMIT = "before the time limit"
#: Seconds a child program gets to exit before it is killed; part of the seconds to save.
END_SECONDS = 30.0
#: Signals that ask for it. A cluster sends SIGURG before a job's time limit, to all its processes, which ignore it by default.
_REASONS = {signal.SIGTERM: "by SIGTERM", signal.SIGURG: TIME_LIMIT}


def heed_time_limits() -> None:
    """From now on SIGURG is remembered for ``stoppable``: it may come while a program still loads its libraries."""
    signal.signal(signal.SIGURG, lambda number, frame: _urged.set())


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Within: SIGTERM and SIGURG set the event instead of ending this process. For main threads."""
    stop = Stop()
    before = {number: signal.signal(number, lambda number, frame: stop.ask(_REASONS[number])) for number in _REASONS}
    if _urged.is_set():
        stop.ask(TIME_LIMIT)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def grace_period() -> float:
    """Seconds that a program has to save its state and end, once it is asked to (``FOFG_SAVE_SECONDS``; otherwise 60)."""
    return float(os.environ.get("FOFG_SAVE_SECONDS") or 60)
