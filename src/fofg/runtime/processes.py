"""Parent and child processes: exit with the parent, end all descendants."""

import ctypes
import os
import signal
import sys
import threading
import time

import psutil

from fofg.runtime.signals import grace_period

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
#: Seconds to wait for processes that survive even SIGKILL, since they wait for a device.
_GIVE_UP = 10.0


def exit_with_supervisor() -> None:
    """Terminate this process once the Snakemake that started its job, FOFG_SUPERVISOR, has exited."""
    supervisor = os.environ.get("FOFG_SUPERVISOR", "")
    if supervisor.isdigit():
        exit_with(int(supervisor))


def exit_with(pid: int) -> None:
    """Terminate this process once process ``pid`` has exited: by SIGTERM, after ``grace_period`` by SIGKILL."""
    try:
        other = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return

    def watch() -> None:
        other.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_period())
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when the thread that started it ends. For ``preexec_fn``; Linux only."""
    _prctl(_PR_SET_PDEATHSIG, number)


def adopt_orphans() -> None:
    """Become the parent of descendants that lose theirs, so that ``end_descendants`` finds them. Linux only."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_descendants(grace_seconds: float = 0.0, spare: frozenset[psutil.Process] = frozenset()) -> None:
    """End all processes below this one but ``spare``: by SIGTERM, after ``grace_seconds`` by SIGKILL."""
    kill_at = time.monotonic() + grace_seconds
    terminated: set[psutil.Process] = set()
    # Again and again: a process may start others while it is being ended.
    while (remaining := set(descendants()) - spare) and time.monotonic() < kill_at + _GIVE_UP:
        for process in remaining:
            try:
                if time.monotonic() >= kill_at:
                    process.kill()
                elif process not in terminated:
                    process.terminate()
            except psutil.NoSuchProcess:
                continue
        terminated |= remaining
        psutil.wait_procs(remaining, timeout=0.1)  # reaps those that are, or have become, our children


def descendants() -> list[psutil.Process]:
    """Return all descendants of this process: its children, their children, and so on."""
    return psutil.Process().children(recursive=True)


def _prctl(option: int, value: int) -> None:
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
