"""Other programs as parts of a job: started for it, stopped with it, on one node or on all nodes of a SLURM allocation."""

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
from fofg.runtime import gpus, parent_watch
from fofg.runtime.signals import END_SECONDS, grace_period, stoppable
from fofg.training.verl import guard

#: Lines of a failed program's output that its error shows.
SHOWN = 25


def free_port() -> int:
    """A TCP port that nobody listens on."""
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
    """Runs a program to its end, its output going to ``log``; returns its exit code, -15 if it was ended by SIGTERM from here.

    When this process is asked to stop (``signals``), ``save(reason)`` is to let the program save and end by itself, for which it
    has ``grace_period`` less those of the grace. After that, or at once without ``save``, it and all that it started get SIGTERM,
    and have ``grace_seconds`` to end. When this process is killed, the program gets SIGTERM; until it has ended, it keeps the
    locks of this process on GPUs and on working state.
    """
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
            start_new_session=True,
            preexec_fn=partial(guard.die_with_parent, signal.SIGTERM),  # on which torchrun ends its workers
            pass_fds=[*gpus.held(), *parent_watch.held()],
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
                    print(f"{command[0]} did not end in {grace_seconds:.0f} s and is killed", file=sys.stderr)
        finally:
            _end(child)
    return -signal.SIGTERM if terminated else child.returncode


def failure(log: Path, code: int, name: str) -> UserError:
    """What to tell of a program that failed: the end of its output, and where the rest is."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN:]
    return UserError(f"{name} ended with exit code {code}; its last words, all of them in {log}:\n" + "\n".join(lines))


def on_all_nodes(nodes: int, gpus: int, cpus: int) -> list[str]:
    """What starts a program once on each node of this job's SLURM allocation, with so many GPUs and CPUs there.

    Raises UserError outside of an allocation.
    """
    if "SLURM_JOB_ID" not in os.environ:
        raise UserError("training.nodes: several nodes need a SLURM allocation; run Snakemake inside one, or set nodes: 1")
    if not shutil.which("srun"):
        raise UserError("training.nodes: several nodes need SLURM's srun, which is not here (nor in a container); set nodes: 1")
    once_a_node = [f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    return ["srun", *once_a_node, f"--gpus-per-task={gpus}", f"--cpus-per-task={cpus}", "--kill-on-bad-exit=1"]


def _end(child: subprocess.Popen) -> None:
    """Kills what is left of a program's process group."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
