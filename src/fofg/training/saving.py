"""Limit the time that a training run spends on checkpoints."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class SaveBudget:
    """Decides whether a checkpoint that is due may be saved: if saving takes at most ``max_share`` of the time.

    A save is assumed to take as long as the one before; the first one is always allowed. With a share of 1, all are.
    """

    def __init__(self, max_share: float):
        self.max_share = max_share
        self._seconds, self._end = 0.0, time.monotonic()

    def allows(self) -> bool:
        """Return whether enough time has passed since the last save."""
        trained = time.monotonic() - self._end
        return self._seconds * (1 - self.max_share) <= trained * self.max_share

    @contextmanager
    def spend(self) -> Iterator[None]:
        """Measure the save that the block makes."""
        began = time.monotonic()
        yield
        self._end = time.monotonic()
        self._seconds = self._end - began
