"""Work that leaves no process and no temporary folder behind, whatever ends it (Linux)."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
#: Seconds between SIGTERM and SIGKILL for what the work leaves running, and after which what can't be killed is left.
_GRACE, _LIMIT = 3.0, 13.0


def guarded(work: Callable[[Path, threading.Event], int], prefix: str, farewell: Callable[[], None]) -> int:
    """Exit code of ``work(folder, stop)``, done in a process of its own with a temporary folder; ``stop``: set by a signal.

    All that it has started, and what that has, ends with it. When this process is killed, the other one stops its work and cleans
    up; when the other is, this one cleans up. To clean up begins with ``farewell``, which may be called twice.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))  # short: the names of sockets have 107 bytes at most
    parent = os.getpid()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    child = os.fork()
    if child == 0:
        try:
            code = _work(partial(work, folder), parent)
        except BaseException:
            traceback.print_exc()
            code = 1
        _clean_up(folder, farewell)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    for number in _STOPS:
        signal.signal(number, lambda number, frame: _send(child, signal.SIGTERM))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    _clean_up(folder, farewell)
    return shell_code(code)


def _work(work: Callable[[threading.Event], int], parent: int) -> int:
    """In the other process: ``work`` with an event that a signal sets, or the death of the parent."""
    os.setsid()  # or what kills the parent's group would kill both
    stop = threading.Event()
    for number in _STOPS:
        signal.signal(number, lambda number, frame: stop.set())
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # a process that loses its parent becomes our child, and is found when we clean up
    if os.getppid() != parent:
        stop.set()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    return work(stop)


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """For ``preexec_fn``: the program gets a signal when the process that starts it dies."""
    _prctl(_PR_SET_PDEATHSIG, number)


def shell_code(code: int) -> int:
    """An exit code as a shell gives it: 128 and the signal's number for a process that a signal killed."""
    return code if code >= 0 else 128 - code


def end(child: subprocess.Popen, grace: float) -> None:
    """Ends a child and, if it leads one, its process group: by SIGTERM, after ``grace`` seconds by SIGKILL."""
    if child.poll() is not None:
        return
    target = -child.pid if os.getpgid(child.pid) == child.pid else child.pid
    _send(target, signal.SIGTERM)
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        _send(target, signal.SIGKILL)
        child.wait()


def bury(known: set[int]) -> None:
    """Takes note of dead children that nobody knows, so that they don't look alive; stops at one of ``known``."""
    with suppress(ChildProcessError):
        while (dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and dead.si_pid not in known:
            os.waitpid(dead.si_pid, 0)


def _clean_up(folder: Path, farewell: Callable[[], None]) -> None:
    """Ends all processes below this one and removes the folder."""
    farewell()
    began = time.monotonic()
    for pid in _descendants():
        _send(pid, signal.SIGTERM)
    # Some ignore that, and end when those are gone whom they serve (multiprocessing's tracker of shared memory).
    while (left := _descendants()) and time.monotonic() - began < _LIMIT:
        if time.monotonic() - began > _GRACE:
            for pid in left:
                _send(pid, signal.SIGKILL)
        time.sleep(0.05)
        bury(set())
    shutil.rmtree(folder, ignore_errors=True)


def _descendants() -> list[int]:
    """All processes that this one has started, their children, and so on."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [os.getpid()]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def _send(target: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(target, number)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
