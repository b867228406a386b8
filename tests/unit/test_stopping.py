"""Programs that are asked to end: what counts as asking, from when on, and that all is as before afterwards."""

import os
import signal
import subprocess
import sys

import pytest

from fofg.runtime.signals import grace_period, stoppable

#: A program that hears of its time limit before it does work that can be stopped.
EARLY = """
import os, signal
from fofg import cli
from fofg.runtime.signals import stoppable
def main():
    os.kill(os.getpid(), signal.SIGURG)
    with stoppable() as stop:
        print(stop.is_set(), stop.reason)
cli.run(main)
"""


@pytest.mark.parametrize(("number", "reason"), [(signal.SIGTERM, "by SIGTERM"), (signal.SIGURG, "before the time limit")])
def test_a_signal_sets_the_event_and_names_its_reason(number, reason):
    before = signal.getsignal(number)
    with stoppable() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.is_set() and stop.reason == reason
    assert signal.getsignal(number) == before


def test_the_first_reason_stays():
    with stoppable() as stop:
        os.kill(os.getpid(), signal.SIGURG)
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.reason == "before the time limit"


def test_a_time_limit_is_heeded_that_comes_early():
    done = subprocess.run([sys.executable, "-c", EARLY], capture_output=True, text=True, check=True)
    assert done.stdout == "True before the time limit\n"


def test_seconds_to_save(monkeypatch):
    monkeypatch.setenv("FOFG_SAVE_SECONDS", "7")
    assert grace_period() == 7
    monkeypatch.delenv("FOFG_SAVE_SECONDS")
    assert grace_period() == 60
