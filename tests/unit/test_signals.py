"""Stop requests: by which signals and files, and that handlers are as before afterwards."""

import os
import signal
import subprocess
import sys

import pytest

from fofg.runtime.signals import request_stop, stop_reason, stoppable

#: A program that gets SIGURG before the work that it can stop.
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


REASONS = [(signal.SIGTERM, "by SIGTERM"), (signal.SIGURG, "before the time limit"), (signal.SIGINT, "by Ctrl-C")]


@pytest.mark.parametrize(("number", "reason"), REASONS)
def test_a_signal_requests_a_stop_and_the_first_reason_stays(number, reason):
    before = signal.getsignal(number)
    with stoppable() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.is_set() and stop.reason == reason
        if number == signal.SIGINT:
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_a_time_limit_before_the_work_counts():
    done = subprocess.run([sys.executable, "-c", EARLY], capture_output=True, text=True, check=True)
    assert done.stdout == "True before the time limit\n"


def test_a_stop_file_keeps_the_first_reason(tmp_path):
    assert stop_reason(tmp_path / "stop") == ""
    request_stop(tmp_path / "stop", "by SIGTERM")
    request_stop(tmp_path / "stop", "before the time limit")
    assert stop_reason(tmp_path / "stop") == "by SIGTERM"
