"""Registry of active runs, used to find stale locks and orphaned cluster jobs.

A run keeps its entry in ``.snakemake/fofg-runs`` locked while it lives, so that an entry without a lock is that of a killed run.
"""

import json
import os
import secrets
import socket
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from filelock import FileLock

from fofg.data.files import write_json
from fofg.errors import UserError
from fofg.runtime import slurm
from fofg.runtime.locks import is_locked, try_lock, was_left

#: Folder of the entries in Snakemake's working folder.
REGISTRY = "fofg-runs"


def record(folder: str | os.PathLike, run_dir: str | os.PathLike, locks: Iterable[str | os.PathLike], jobs: str | None) -> None:
    """Register this process in Snakemake's working folder (``.snakemake``) until ``erase``.

    ``run_dir``: where the run makes its files; ``locks``: its lock files; ``jobs``: the name of all its jobs on a cluster.
    """
    for path, run in _killed(folder):
        if not run["jobs"] and not _left(run):
            path.unlink(missing_ok=True)
    entry = {"host": socket.gethostname(), "pid": os.getpid(), "run_dir": os.path.abspath(run_dir), "jobs": jobs}
    # Locked before others can see it: they take an entry without a lock for that of a killed run.
    new = _own_entry(folder).with_suffix(".new")
    write_json(new, entry | {"locks": {os.path.abspath(lock): _modified(lock) for lock in locks}})
    try_lock(new)
    os.replace(new, _own_entry(folder))


def erase(folder: str | os.PathLike) -> None:
    """Remove this process's entry: its jobs have ended or are cancelled."""
    _own_entry(folder).unlink(missing_ok=True)


def release(folder: str | os.PathLike) -> None:
    """Wait for the jobs of killed runs, whose results count, and remove their locks, so that a new run can start.

    Report on standard error. Raises UserError if SLURM does not answer.
    """
    if names := abandoned(folder):
        slurm.wait(names)
    removed = remove_stale_locks(folder, names)
    forget(folder, names)
    active = {run["pid"]: _left(run) for path, run in _runs(folder) if _is_active(path, run)}
    for pid, locks in active.items():
        print(f"process {pid} runs the workflow here" + ("; its lock stays" if locks else ""), file=sys.stderr)
    if removed:
        print("removed the lock of a killed run; the same command resumes it", file=sys.stderr)
    elif not any((Path(folder) / "locks").glob("*.lock")):
        print(f"no lock in {Path(folder).absolute()}; nothing to remove", file=sys.stderr)
    known = {lock for _, run in _runs(folder) for lock in _left(run)}
    if any(lock not in known for lock in (Path(folder).absolute() / "locks").glob("*.lock")):
        print("there is a lock of an unregistered run; if none is active here, snakemake --unlock removes it", file=sys.stderr)
    for host in sorted({run["host"] for _, run in _runs(folder)} - {socket.gethostname()}):
        print(
            f"a run on {host} is registered as active; if it was killed, run `fofg unlock` there",
            file=sys.stderr,
        )


def check_released(folder: str | os.PathLike, run_dir: str | os.PathLike) -> None:
    """Raise UserError if work would be done twice.

    This is so if jobs of a killed run are still in the queue, or an active run of the same ``run_dir`` has lost its lock. Snakemake
    removes all locks of its folder when any of several runs ends.
    """
    if (names := abandoned(folder)) and (counts := slurm.count_jobs(names)):
        raise UserError(
            f"{sum(counts.values())} jobs of a killed run are still in the queue; wait for them with `fofg unlock`, or stop them, "
            f"state saved: scancel --name={','.join(names)}"
        )
    forget(folder, names)
    for path, run in _runs(folder):
        if _is_active(path, run) and run["run_dir"] == os.path.abspath(run_dir) and run["locks"] and not _left(run):
            raise UserError(f"process {run['pid']} runs the workflow in the same run_dir ({run_dir}); wait for it, or set another")


def abandoned(folder: str | os.PathLike) -> list[str]:
    """Return the names under which runs that were killed on this host submitted jobs to SLURM."""
    return [run["jobs"] for _, run in _killed(folder) if run["jobs"]]


def remove_stale_locks(folder: str | os.PathLike, ended: Collection[str] = ()) -> bool:
    """Remove Snakemake's locks of runs that were killed on this host. Return whether there was one.

    The lock of a run stays if it submitted jobs to a cluster, where they may still run, unless ``ended`` has their name.
    """
    if not _registry(folder).is_dir():
        return False
    with FileLock(_registry(folder) / "registry.lock"):  # or another start might remove, and set, the lock that this one removes
        killed = [run for _, run in _killed(folder) if not run["jobs"] or run["jobs"] in ended]
        stale = [lock for run in killed for lock in _left(run)]
        for lock in stale:
            lock.unlink(missing_ok=True)
    return bool(stale)


def forget(folder: str | os.PathLike, jobs: Iterable[str]) -> None:
    """Record that no jobs of these names are left."""
    for path, run in _killed(folder):
        if run["jobs"] in jobs:
            write_json(path, run | {"jobs": None})


def _own_entry(folder: str | os.PathLike) -> Path:
    return _registry(folder) / f"{_name(os.getpid())}.json"


@cache
def _name(pid: int) -> str:
    """Return a name that no other process has, in containers neither, where process numbers are often the same."""
    return f"{socket.gethostname()}-{pid}-{secrets.token_hex(4)}"


def _registry(folder: str | os.PathLike) -> Path:
    return Path(folder) / REGISTRY


def _left(run: dict) -> list[Path]:
    """Return the lock files of a run that still exist and were not created again by another run."""
    return [Path(lock) for lock, modified in run["locks"].items() if modified is not None and _modified(lock) == modified]


def _modified(lock: str | os.PathLike) -> int | None:
    try:
        return os.stat(lock).st_mtime_ns
    except FileNotFoundError:
        return None


def _is_active(path: Path, run: dict) -> bool:
    return run["host"] == socket.gethostname() and is_locked(path)


def _killed(folder: str | os.PathLike) -> Iterator[tuple[Path, dict]]:
    """Yield the entries of killed runs of this host; for runs of other hosts, this is not visible here."""
    return ((path, run) for path, run in _runs(folder) if run["host"] == socket.gethostname() and was_left(path))


def _runs(folder: str | os.PathLike) -> Iterator[tuple[Path, dict]]:
    for path in sorted(_registry(folder).glob("*.json")):
        with suppress(OSError, ValueError):
            yield path, json.loads(path.read_text())
