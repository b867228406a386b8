"""Work in several processes: order, bounds, errors, kills. Import little: every process imports this file."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from fofg.data.rollout_files import ordered_map
from fofg.errors import UserError


def square(value: int) -> int:
    if value < 0:
        raise UserError(f"value {value}: negative")
    return value * value


def end_at_once(value: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_processes_return_results_in_order_and_take_items_lazily():
    taken = []

    def items():
        for value in range(30):
            taken.append(value)
            yield value

    results = ordered_map(square, items(), 2)
    assert next(results) == 0
    assert len(taken) <= 4
    assert list(results) == [value * value for value in range(1, 30)]


def test_an_error_or_death_in_a_process_reaches_the_caller():
    with pytest.raises(UserError, match="value -1: negative"):
        list(ordered_map(square, [3, -1, 4], 2))
    with pytest.raises(UserError, match="worker process was killed"):
        list(ordered_map(end_at_once, range(9), 2))


PARENT = """
import time
from fofg.data.rollout_files import ordered_map

if __name__ == "__main__":
    results = ordered_map(time.sleep, [0, 0, 600, 600, 600, 600], 2)
    next(results)
    print("started", flush=True)
    list(results)
"""


def test_workers_end_with_a_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "started\n"
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.kill()
    deadline = time.monotonic() + 20
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)
