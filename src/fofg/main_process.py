"""Notes on who runs the workflow in a folder: by them, a killed run's lock and jobs on a cluster are found."""

import json
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from fofg import slurm
from fofg.errors import UserError
from fofg.files import write_json
from fofg.supervision import started


def record(folder: str | os.PathLike, locks: Iterable[str | os.PathLike], jobs: str | None) -> None:
    """Notes in Snakemake's working folder (``.snakemake``) that this process runs the workflow.

    ``locks``: its lock files; ``jobs``: the name of all its jobs on a cluster. Notes of ended runs that left nothing are removed.
    """
    for path, run in _killed(folder):
        if not run["jobs"] and not _left(run):
            path.unlink(missing_ok=True)
    own = {"host": socket.gethostname(), "pid": os.getpid(), "started": started(os.getpid())}
    own |= {"locks": {os.path.abspath(lock): _born(lock) for lock in locks}, "jobs": jobs}
    write_json(_notes(folder) / f"{own['host']}-{own['pid']}.json", own)


def remove_stale_locks(folder: str | os.PathLike) -> bool:
    """Removes Snakemake's locks of runs that were killed on this host. True if there was one."""
    removed = False
    for _, run in _killed(folder):
        for lock in _left(run):
            lock.unlink(missing_ok=True)
            removed = True
    return removed


def abandoned(folder: str | os.PathLike) -> list[str]:
    """Names under which runs that are over submitted jobs to a cluster."""
    return [run["jobs"] for _, run in _killed(folder) if run["jobs"]]


def forget(folder: str | os.PathLike, jobs: Iterable[str]) -> None:
    """Notes that nothing is left of the jobs of these names."""
    for path, run in _killed(folder):
        if run["jobs"] in jobs:
            write_json(path, run | {"jobs": None})


def release(folder: str | os.PathLike) -> None:
    """Makes way for a new run: waits for the jobs of killed ones, whose results count, and removes their locks.

    Tells on standard error what it does. Raises UserError if the cluster can't be asked.
    """
    if names := abandoned(folder):
        slurm.wait(names)
    if remove_stale_locks(folder):
        print("removed the lock of a killed run; it goes on where it was", file=sys.stderr)
    forget(folder, names)
    for host in holders(folder):
        print(f"a run on {host} has a lock here; if it was killed, run `fofg unlock` there, or snakemake --unlock", file=sys.stderr)


def check_released(folder: str | os.PathLike) -> None:
    """Raises UserError if jobs of a killed run are still in a cluster's queue: their work would be done twice."""
    if (names := abandoned(folder)) and (counts := slurm.waiting(names)):
        told = f"{sum(counts.values())} jobs of a killed run are still in the queue"
        raise UserError(f"{told}; wait for them with `fofg unlock`, or end them, state saved: scancel --name={','.join(names)}")
    forget(folder, names)


def holders(folder: str | os.PathLike) -> list[str]:
    """Other hosts on which runs were started that have left a lock; only there it shows whether they are alive."""
    return sorted({run["host"] for _, run in _runs(folder) if run["host"] != socket.gethostname() and _left(run)})


def _notes(folder: str | os.PathLike) -> Path:
    return Path(folder) / "fofg-runs"


def _left(run: dict) -> list[Path]:
    """Lock files of a run that are there, and not since then taken away and made by another run."""
    return [Path(lock) for lock, born in run["locks"].items() if _born(lock) == born]


def _born(lock: str | os.PathLike) -> int | None:
    try:
        return os.stat(lock).st_mtime_ns
    except FileNotFoundError:
        return None


def _killed(folder: str | os.PathLike) -> Iterator[tuple[Path, dict]]:
    """Notes of runs that are over: their process is gone, or on another host, where that does not show, their lock."""
    for path, run in _runs(folder):
        own = run["host"] == socket.gethostname()
        if started(run["pid"]) != run["started"] if own else not _left(run):
            yield path, run


def _runs(folder: str | os.PathLike) -> Iterator[tuple[Path, dict]]:
    for path in sorted(_notes(folder).glob("*.json")):
        with suppress(OSError, ValueError):
            yield path, json.loads(path.read_text())
