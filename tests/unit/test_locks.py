"""Two programs never share a state folder, and a program exits with its supervisor."""

import os
import signal
import subprocess
import sys
import time

import pytest

from fofg.errors import UserError
from fofg.runtime.locks import exclusive

WATCHED = """
import time
from fofg.runtime.processes import exit_with_supervisor
exit_with_supervisor()
print("up", flush=True)
time.sleep(60)
"""
HOLDING = """
import sys, time
from fofg.runtime.locks import exclusive
with exclusive(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_program_ends_with_its_supervisor(how):
    supervisor = subprocess.Popen(["sleep", "60"])
    environment = os.environ | {"FOFG_SUPERVISOR": str(supervisor.pid)}
    program = subprocess.Popen([sys.executable, "-c", WATCHED], env=environment, stdout=subprocess.PIPE)
    assert program.stdout.readline() == b"up\n"
    assert program.poll() is None
    supervisor.send_signal(how)
    supervisor.wait()
    assert program.wait(timeout=20) == -signal.SIGTERM


def test_a_program_without_a_supervisor_keeps_running():
    environment = {key: value for key, value in os.environ.items() if key != "FOFG_SUPERVISOR"}
    program = subprocess.Popen([sys.executable, "-c", WATCHED], env=environment, stdout=subprocess.PIPE)
    assert program.stdout.readline() == b"up\n"
    time.sleep(0.3)
    assert program.poll() is None
    program.kill()
    program.wait()


def test_a_locked_state_is_an_error_until_its_holder_is_killed(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDING, str(tmp_path / "state")], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(UserError, match=str(holder.pid)), exclusive(tmp_path / "state", patience_seconds=0.2):
        pytest.fail("the lock was taken twice")
    holder.kill()
    holder.wait()
    with exclusive(tmp_path / "state", patience_seconds=0.2):
        assert (tmp_path / "state.lock").read_text() == str(os.getpid())
    assert not (tmp_path / "state.lock").exists()


COUNTING = """
import sys, time
from pathlib import Path
from fofg.runtime.locks import exclusive
state, counter = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(10):
    with exclusive(state, patience_seconds=30):
        count = int(counter.read_text())
        time.sleep(0.01)
        counter.write_text(str(count + 1))
"""


def test_many_processes_take_turns(tmp_path):
    (tmp_path / "counter").write_text("0")
    command = [sys.executable, "-c", COUNTING, str(tmp_path / "state"), str(tmp_path / "counter")]
    programs = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(3)]
    assert [program.wait(timeout=120) for program in programs] == [0, 0, 0]
    assert (tmp_path / "counter").read_text() == "30"
