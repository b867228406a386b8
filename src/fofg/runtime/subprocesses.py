"""Run other programs as part of a job and stop them with it, on one node or on all nodes of a SLURM allocation."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from fofg.errors import UserError
from fofg.runtime import locks, processes
from fofg.runtime.signals import END_SECONDS, grace_period, stoppable

#: Lines of a failed program's output that its error shows.
SHOWN = 25


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def run(
    command: Sequence[str],
    log: Path,
    environment: dict[str, str],
    save: Callable[[str], None] | None = None,
    grace_seconds: float = END_SECONDS,
) -> int:
    """Run a program to its end, appending its output to ``log``. Return its exit code; -15 if it was terminated from here.

    On a stop request (``stoppable``), call ``save(reason)`` and let the program exit by itself within ``grace_period`` less
    ``grace_seconds``. After that, or at once without ``save``, its process group gets SIGTERM, and SIGKILL ``grace_seconds`` later.
    All its descendants end with it. If this process is killed, the program gets SIGTERM, and holds this process's locks until it
    has exited.
    """
    # Descendants of the program whose parent dies become children of this process, so that none can be missed at the end.
    processes.adopt_orphans()
    others = frozenset(processes.descendants())
    terminated = False
    with open(log, "ab") as output, stoppable() as stop:
        if stop.is_set():
            if save:
                save(stop.reason)
            return -signal.SIGTERM
        child = subprocess.Popen(
            command,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a process group of its own, to be killed as a whole
            preexec_fn=partial(processes.die_with_parent, signal.SIGTERM),  # torchrun ends its workers on SIGTERM
            pass_fds=locks.held(),  # so that no other run starts while the program still writes
        )
        try:
            while child.poll() is None and not stop.wait(0.2):
                pass
            if stop.is_set() and save:
                save(stop.reason)
                with suppress(subprocess.TimeoutExpired):
                    child.wait(max(grace_period() - grace_seconds, 0))
            if child.poll() is None:
                terminated = True
                os.killpg(child.pid, signal.SIGTERM)
                try:
                    child.wait(grace_seconds)
                except subprocess.TimeoutExpired:
                    print(f"{command[0]} did not exit within {grace_seconds:.0f} s and is killed", file=sys.stderr)
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            processes.end_descendants(spare=others)
    return -signal.SIGTERM if terminated else child.returncode


def failure(log: Path, code: int, name: str) -> UserError:
    """Return the error of a failed program, with the end of its output and the path of the rest."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN:]
    return UserError(f"{name} failed with exit code {code}; the end of its output, all of it in {log}:\n" + "\n".join(lines))


def on_all_nodes(nodes: int, gpus: int, cpus: int) -> list[str]:
    """Return the srun command that starts a program once on each node of this allocation, with ``gpus`` and ``cpus`` per node.

    Raises UserError outside of an allocation.
    """
    if "SLURM_JOB_ID" not in os.environ:
        raise UserError("training.nodes: several nodes need a SLURM allocation; run Snakemake inside one, or set nodes: 1")
    if not shutil.which("srun"):
        raise UserError("training.nodes: several nodes need SLURM's srun, which is not here (nor in a container); set nodes: 1")
    tasks = [f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    return ["srun", *tasks, f"--gpus-per-task={gpus}", f"--cpus-per-task={cpus}", "--kill-on-bad-exit=1"]
