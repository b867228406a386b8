"""Notes on who runs the workflow in a folder: by them, a killed run's lock and jobs on a cluster are found."""

import json
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from fofg.data.files import write_json
from fofg.errors import UserError
from fofg.runtime import slurm
from fofg.runtime.parent_watch import started


def record(folder: str | os.PathLike, run_dir: str | os.PathLike, locks: Iterable[str | os.PathLike], jobs: str | None) -> None:
    """Notes in Snakemake's working folder (``.snakemake``) that this process runs the workflow, until ``erase``.

    ``run_dir``: where it makes its files; ``locks``: its lock files; ``jobs``: the name of all its jobs on a cluster.
    """
    for path, run in _killed(folder):
        if not run["jobs"] and not _left(run):
            path.unlink(missing_ok=True)
    own = {"host": socket.gethostname(), "pid": os.getpid(), "started": started(os.getpid()), "run_dir": os.path.abspath(run_dir)}
    write_json(_own(folder), own | {"locks": {os.path.abspath(lock): _born(lock) for lock in locks}, "jobs": jobs})


def erase(folder: str | os.PathLike) -> None:
    """Removes this process's note: it has ended as it should, and waited for its jobs or cancelled them."""
    _own(folder).unlink(missing_ok=True)


def release(folder: str | os.PathLike) -> None:
    """Makes way for a new run: waits for the jobs of killed ones, whose results count, and removes their locks.

    Tells on standard error what it does. Raises UserError if the cluster can't be asked.
    """
    if names := abandoned(folder):
        slurm.wait(names)
    if remove_stale_locks(folder):
        print("removed the lock of a killed run; it goes on where it was", file=sys.stderr)
    forget(folder, names)
    known = {lock for _, run in _runs(folder) for lock in _left(run)}
    if any(lock not in known for lock in (Path(folder).absolute() / "locks").glob("*.lock")):
        print("there is a lock of a run that left no note; if none runs here, snakemake --unlock removes it", file=sys.stderr)
    for host in sorted({run["host"] for _, run in _runs(folder)} - {socket.gethostname()}):
        print(
            f"a run was started on {host}, and does not say that it has ended; if it was killed, `fofg unlock` there",
            file=sys.stderr,
        )


def check_released(folder: str | os.PathLike, run_dir: str | os.PathLike) -> None:
    """Raises UserError where work would be done twice.

    Jobs of a killed run are still in a cluster's queue; or a run of the same ``run_dir`` goes on whose lock is gone: Snakemake
    removes all locks of its folder when any of several runs ends.
    """
    if (names := abandoned(folder)) and (counts := slurm.waiting(names)):
        told = f"{sum(counts.values())} jobs of a killed run are still in the queue"
        raise UserError(f"{told}; wait for them with `fofg unlock`, or end them, state saved: scancel --name={','.join(names)}")
    forget(folder, names)
    for _, run in _runs(folder):
        if _lives(run) and run["run_dir"] == os.path.abspath(run_dir) and run["locks"] and not _left(run):
            raise UserError(f"process {run['pid']} runs the workflow in the same run_dir ({run_dir}); wait for it, or set another")


def abandoned(folder: str | os.PathLike) -> list[str]:
    """Names under which runs that were killed on this host submitted jobs to a cluster."""
    return [run["jobs"] for _, run in _killed(folder) if run["jobs"]]


def remove_stale_locks(folder: str | os.PathLike) -> bool:
    """Removes Snakemake's locks of runs that were killed on this host. True if there was one."""
    stale = [lock for _, run in _killed(folder) for lock in _left(run)]
    for lock in stale:
        lock.unlink(missing_ok=True)
    return bool(stale)


def forget(folder: str | os.PathLike, jobs: Iterable[str]) -> None:
    """Notes that nothing is left of the jobs of these names."""
    for path, run in _killed(folder):
        if run["jobs"] in jobs:
            write_json(path, run | {"jobs": None})


def _notes(folder: str | os.PathLike) -> Path:
    return Path(folder) / "fofg-runs"


def _own(folder: str | os.PathLike) -> Path:
    return _notes(folder) / f"{socket.gethostname()}-{os.getpid()}.json"


def _left(run: dict) -> list[Path]:
    """Lock files of a run that are there, and not since then taken away and made by another run."""
    return [Path(lock) for lock, born in run["locks"].items() if _born(lock) == born]


def _born(lock: str | os.PathLike) -> int | None:
    try:
        return os.stat(lock).st_mtime_ns
    except FileNotFoundError:
        return None


def _lives(run: dict) -> bool:
    return run["host"] == socket.gethostname() and started(run["pid"]) == run["started"]


def _killed(folder: str | os.PathLike) -> Iterator[tuple[Path, dict]]:
    """Notes of runs of this host whose process is gone; of another host's, that does not show here."""
    return ((path, run) for path, run in _runs(folder) if run["host"] == socket.gethostname() and not _lives(run))


def _runs(folder: str | os.PathLike) -> Iterator[tuple[Path, dict]]:
    for path in sorted(_notes(folder).glob("*.json")):
        with suppress(OSError, ValueError):
            yield path, json.loads(path.read_text())
