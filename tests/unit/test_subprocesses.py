"""Programs that a job starts: their output and exit code, and that they end with the job."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from fofg.runtime import subprocesses

#: Runs the program in its fourth and later arguments, with a log, seconds of grace, and a file that requests a stop ("": none),
#: and prints what ``run`` returns.
JOB = """
import sys
from pathlib import Path
from fofg.runtime import subprocesses
log, grace, stop_file = sys.argv[1:4]
save = Path(stop_file).write_text if stop_file else None
print(subprocesses.run(sys.argv[4:], Path(log), {}, save, float(grace)), flush=True)
"""
#: Starts a child, writes both process numbers to the file named in its argument, and waits.
FAMILY = """
import os, subprocess, sys, time
from pathlib import Path
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
Path(sys.argv[1] + ".new").write_text(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(1000)
"""
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
POLITE = """
import signal, sys
def end(number, frame):
    print("saved", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
"""
#: Saves when the file STOP_FILE comes, exits with code 7, and reports an earlier SIGTERM.
SAVES = """
import os, pathlib, signal, threading, time
signal.signal(signal.SIGTERM, lambda number, frame: print("terminated", flush=True))
def watch():
    while not pathlib.Path(STOP_FILE).exists():
        time.sleep(0.05)
    time.sleep(1)
    print("saved", pathlib.Path(STOP_FILE).read_text(), flush=True)
    os._exit(7)
threading.Thread(target=watch).start()
"""
#: SIGURG arrives while imports are running.
EARLY = """
import os, signal
from fofg.runtime.signals import record_time_limit
record_time_limit()
os.kill(os.getpid(), signal.SIGURG)
"""
SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGURG])


def python(text, *arguments):
    return [sys.executable, "-c", text, *map(str, arguments)]


def wait_for(found, seconds=60):
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "timeout"
        time.sleep(0.05)
    return value


def running(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def gone(*pids):
    return not any(map(running, pids))


@pytest.fixture
def job(tmp_path):
    """Start a job that runs a program; return the job's process and the PIDs of the program and its child."""
    started = []

    def start(text, grace=30.0, stop_file="", seconds=60.0):
        numbers = tmp_path / "numbers"
        command = python(JOB, tmp_path / "log", grace, stop_file, *python(text, numbers))
        environment = os.environ | {"FOFG_SAVE_SECONDS": str(seconds)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        started.append(process)
        wait_for(numbers.exists)
        pids = [int(number) for number in numbers.read_text().split()]
        started.extend(pids)
        return process, pids

    yield start
    for item in started:
        with suppress(ProcessLookupError):
            os.kill(item if isinstance(item, int) else item.pid, signal.SIGKILL)


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_the_exit_code_is_the_programs(tmp_path, code):
    assert subprocesses.run(python(f"raise SystemExit({code})"), tmp_path / "log", {}) == code


def test_signal_handlers_are_restored_whatever_ends_the_program(tmp_path):
    numbers = (signal.SIGTERM, signal.SIGURG)
    before = [signal.getsignal(number) for number in numbers]
    subprocesses.run(python(""), tmp_path / "log", {})
    with pytest.raises(FileNotFoundError):
        subprocesses.run([str(tmp_path / "nothing")], tmp_path / "log", {})
    assert [signal.getsignal(number) for number in numbers] == before


def test_all_output_is_appended_to_the_log(tmp_path, capfd):
    (tmp_path / "log").write_text("before\n")
    program = "import sys; print('out', flush=True); print('err', file=sys.stderr, flush=True); print(repr(sys.stdin.read()))"
    subprocesses.run(python(program), tmp_path / "log", {})
    assert (tmp_path / "log").read_text() == "before\nout\nerr\n''\n"
    assert capfd.readouterr() == ("", "")


def test_children_end_with_their_program(tmp_path):
    program = FAMILY.replace("time.sleep(1000)\n", "sys.exit(5)\n")
    assert subprocesses.run(python(program, tmp_path / "numbers"), tmp_path / "log", {}) == 5
    _, child = map(int, (tmp_path / "numbers").read_text().split())
    wait_for(lambda: gone(child))


#: Program, signal, seconds to save (with a stop file only), seconds of grace, and what the log says; all end by SIGTERM or SIGKILL.
ENDS = {
    "without a stop file it gets SIGTERM at once": (FAMILY, signal.SIGURG, 100_000, 30, None, ""),
    "it may use its grace to save": (POLITE + FAMILY, signal.SIGTERM, 60, 30, None, "saved\n"),  # though its own code is 0
    "if it ignores SIGTERM it is killed after its grace": (DEAF + FAMILY, signal.SIGTERM, 60, 0.5, None, ""),
    "if it does not save in time it gets SIGTERM": (POLITE + FAMILY, signal.SIGURG, 31, 30, "stop", "saved\n"),
    "if it ignores stop file and SIGTERM it is killed": (DEAF + FAMILY, signal.SIGTERM, 1, 0.5, "stop", ""),
}


@pytest.mark.parametrize("case", ENDS)
def test_a_program_and_its_children_end_with_a_stop_request(job, tmp_path, case):
    program, number, seconds, grace, stop_file, log = ENDS[case]
    process, pids = job(program, grace=grace, stop_file=tmp_path / stop_file if stop_file else "", seconds=seconds)
    process.send_signal(number)
    assert process.communicate()[0] == f"{-signal.SIGTERM}\n"
    assert (tmp_path / "log").read_text() == log and (tmp_path / "stop").exists() == bool(stop_file)
    wait_for(lambda: gone(*pids))


@SIGNALS
def test_a_program_that_saves_exits_by_itself(job, tmp_path, number):
    stop_file = tmp_path / "stop"
    process, pids = job(SAVES.replace("STOP_FILE", repr(str(stop_file))) + FAMILY, stop_file=stop_file)
    process.send_signal(number)
    assert process.communicate()[0] == "7\n"
    reason = {signal.SIGTERM: "by SIGTERM", signal.SIGURG: "before the time limit"}[number]
    assert (tmp_path / "log").read_text() == f"saved {reason}\n"
    wait_for(lambda: gone(*pids))


def test_a_program_is_not_started_after_a_stop_request(tmp_path):
    program = python(f"open({str(tmp_path / 'started')!r}, 'w')")
    done = subprocess.run(python(EARLY + JOB, tmp_path / "log", 30, tmp_path / "stop", *program), capture_output=True, text=True)
    assert done.stdout == f"{-signal.SIGTERM}\n", done.stderr
    assert (tmp_path / "stop").read_text() == "before the time limit" and not (tmp_path / "started").exists()


def test_a_program_ends_with_its_killed_job(job):
    process, (program, _) = job(FAMILY)
    process.kill()
    wait_for(lambda: gone(program))


def test_torchrun_workers_end_with_their_killed_job(tmp_path, job):
    """Otherwise they would continue to train beside the job's next start."""
    worker = tmp_path / "worker.py"
    worker.write_text(FAMILY)
    torchrun = f"-m torch.distributed.run --standalone --nproc-per-node=1 {worker}"
    starts = f"import os, sys; os.execv(sys.executable, [sys.executable, *{torchrun.split()!r}, sys.argv[1]])"
    process, (worker, child) = job(starts)
    assert running(worker)
    process.kill()
    wait_for(lambda: gone(worker))
    os.kill(child, signal.SIGKILL)


def test_a_killed_job_is_locked_until_its_program_has_ended(tmp_path):
    """Or the next job would load its model onto a GPU that the old one still fills."""
    locked, alive = tmp_path / "state", tmp_path / "alive"
    program = (
        f"{DEAF}import time; from pathlib import Path; Path({str(alive)!r}).touch(); time.sleep(4); Path({str(alive)!r}).unlink()"
    )
    job = f"""
import sys
from pathlib import Path
from fofg.runtime.locks import exclusive
from fofg.runtime import subprocesses
with exclusive({str(locked)!r}):
    subprocesses.run([sys.executable, "-c", {program!r}], Path({str(tmp_path / "log")!r}), {{}})
"""
    holder = subprocess.Popen(python(job))
    wait_for(alive.exists)
    holder.kill()
    holder.wait()
    waiting = f"""
from pathlib import Path
from fofg.runtime.locks import exclusive
with exclusive({str(locked)!r}, patience_seconds=60):
    print(Path({str(alive)!r}).exists())
"""
    done = subprocess.run(python(waiting), capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
