"""GPUs of this machine, handed out to jobs: none is shared unless that is asked for.

A job holds a lock on each of its GPUs as long as its process lives, so that jobs of several runs, and of several users, do not
meet, and a killed job leaves no lock behind.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from fofg.errors import UserError

#: Where drivers put nvidia-smi when it is not on the PATH.
_PLACES = ("/usr/local/nvidia/bin", "/usr/lib/wsl/lib", "/opt/bin")
_held: list[IO] = []


def visible() -> dict[str, str]:
    """GPUs that this process may use, in their order: what CUDA_VISIBLE_DEVICES calls them -> the UUID; none without a driver."""
    present = _present()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return present
    return {name: present.get(name, name) for name in filter(None, map(str.strip, allowed.split(",")))}


def _present() -> dict[str, str]:
    """Index -> UUID, as nvidia-smi lists them."""
    program = shutil.which("nvidia-smi", path=os.pathsep.join([os.environ.get("PATH", ""), *_PLACES]))
    if program is None:
        return {}
    told = subprocess.run(
        [program, "--query-gpu=index,uuid", "--format=csv,noheader"], capture_output=True, text=True, timeout=120, check=False
    )
    if told.returncode:
        return {}
    return dict(map(str.strip, line.split(",")) for line in told.stdout.splitlines() if "," in line)


def claim(count: int, jobs_per_gpu: int = 1, key: str = "gpus", poll_seconds: float = 1.0) -> list[str]:
    """Takes ``count`` GPUs until this process ends, waiting for busy ones, and sets CUDA_VISIBLE_DEVICES to them.

    Each is this job's alone, or shared by up to ``jobs_per_gpu`` jobs that all say so. All or none are taken, so that two jobs
    never wait for one another. Raises UserError, naming the configuration's ``key``, if the machine has fewer.
    """
    devices = visible()
    if len(devices) < count:
        raise UserError(
            f"{key}: {count} GPUs asked for, {len(devices)} visible on this machine; lower it, or free CUDA_VISIBLE_DEVICES"
        )
    waited = False
    while (taken := _take(devices, count, jobs_per_gpu)) is None:
        if not waited:
            print(f"waiting for {count} free of {len(devices)} GPUs", file=sys.stderr, flush=True)
            waited = True
        time.sleep(poll_seconds)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(taken)
    return taken


def _take(devices: dict[str, str], count: int, jobs_per_gpu: int) -> list[str] | None:
    """The devices whose locks could be had at once, least shared first; None, and no lock, if they are too few."""
    taken: dict[str, list[IO]] = {}
    for slot in range(jobs_per_gpu):
        for name, uuid in devices.items():
            if len(taken) < count and name not in taken and (locks := _lock(uuid, slot, jobs_per_gpu > 1)):
                taken[name] = locks
    if len(taken) < count:
        for locks in taken.values():
            _release(locks)
        return None
    _held.extend(lock for locks in taken.values() for lock in locks)
    return list(taken)


def _lock(uuid: str, slot: int, shared: bool) -> list[IO] | None:
    """The GPU's own lock, exclusive; or shared, with a slot of its own."""
    if not shared:
        whole = _locked(f"{uuid}.lock", fcntl.LOCK_EX)
        return whole and [whole]
    if not (whole := _locked(f"{uuid}.lock", fcntl.LOCK_SH)):
        return None
    if not (own := _locked(f"{uuid}.{slot}.lock", fcntl.LOCK_EX)):
        _release([whole])
        return None
    return [whole, own]


def _locked(name: str, kind: int) -> IO | None:
    """The open, locked file; None if another process has it."""
    folder = Path(tempfile.gettempdir()) / "fofg-gpus"
    mask = os.umask(0)  # other users' jobs lock the same files
    try:
        folder.mkdir(mode=0o777, exist_ok=True)
        lock = open(os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o666), "r+b")  # noqa: SIM115 - open as long as it is held
    finally:
        os.umask(mask)
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _release(locks: list[IO]) -> None:
    for lock in locks:
        lock.close()
