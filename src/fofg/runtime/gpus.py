"""GPUs of this machine, handed out to jobs: none is shared unless that is asked for.

A job holds a lock on each of its GPUs as long as its process lives, so that jobs of several runs, and of several users, do not
meet, and a killed job leaves no lock behind. The locks lie in the machine's temporary folder.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from fofg.errors import UserError

#: Where drivers put nvidia-smi when it is not on the PATH.
_PLACES = ("/usr/local/nvidia/bin", "/usr/lib/wsl/lib", "/opt/bin")
_held: list[IO] = []


def name_once() -> None:
    """SLURM may name a job's GPUs to AMD's libraries as well as to NVIDIA's, which verl refuses: NVIDIA's name stays."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        os.environ.pop("ROCR_VISIBLE_DEVICES", None)


def compiler_settings() -> dict[str, str]:
    """Environment of vLLM: its first choice of a sampler (FlashInfer's) is compiled by nvcc, and left out where there is none."""
    return {} if shutil.which("nvcc") else {"VLLM_USE_FLASHINFER_SAMPLER": "0"}


def visible() -> dict[str, str]:
    """GPUs that this process may use, in their order: what CUDA_VISIBLE_DEVICES calls them -> the UUID; none without a driver.

    As CUDA does, it reads CUDA_VISIBLE_DEVICES up to the first name that no GPU has.
    """
    present = _present()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return present
    found: dict[str, str] = {}
    for name in map(str.strip, allowed.split(",")):
        uuid = _uuid(name, present)
        if uuid is None or uuid in found.values():
            break
        found[name] = uuid
    return found


def _uuid(name: str, present: dict[str, str]) -> str | None:
    """UUID of the GPU with an index or (the beginning of) a UUID; None if there is none. A part of a GPU (MIG) is its own name."""
    if name.startswith("MIG-"):
        return name
    if name.startswith("GPU-"):
        return next((uuid for uuid in present.values() if uuid.startswith(name)), None)
    return present.get(name)


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
            f"{key}: {count} GPUs asked for, {len(devices)} visible on this machine (nvidia-smi, CUDA_VISIBLE_DEVICES); lower it"
        )
    waited = False
    while (taken := _take(devices, count, jobs_per_gpu)) is None:
        if not waited:
            print(f"waiting for {count} free of {len(devices)} GPUs", file=sys.stderr, flush=True)
            waited = True
        time.sleep(poll_seconds)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(taken)
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # nvidia-smi's numbers; CUDA's own put the fastest GPU first
    return taken


def held() -> list[int]:
    """Descriptors of this process's locks; a process that inherits them holds the GPUs too."""
    return [lock.fileno() for lock in _held]


def _take(devices: dict[str, str], count: int, jobs_per_gpu: int) -> list[str] | None:
    """The least shared of the devices whose locks can be had at once; None, and no lock, if they are too few.

    One process at a time looks: what it finds taken is really taken, and not by another one's looking.
    """
    looking = _locked("looking.lock", fcntl.LOCK_EX, wait=True)
    had = {name: locks for name, uuid in devices.items() if (locks := _free(uuid, jobs_per_gpu))}
    least_shared = sorted(had, key=lambda name: -len(had[name]))[:count] if len(had) >= count else []
    for name, locks in had.items():
        kept = 2 if name in least_shared else 0  # the GPU's own and one slot
        _held.extend(locks[:kept])
        _release(locks[kept:])
    _release([looking])
    return [name for name in devices if name in least_shared] or None


def _free(uuid: str, jobs_per_gpu: int) -> list[IO]:
    """The GPU's own lock, exclusive; or shared, with all slots that are free, each a job's. None of them if the GPU is taken."""
    whole = _locked(f"{uuid}.lock", fcntl.LOCK_EX if jobs_per_gpu == 1 else fcntl.LOCK_SH)
    if whole is None or jobs_per_gpu == 1:
        return [whole] if whole else []
    slots = [lock for slot in range(jobs_per_gpu) if (lock := _locked(f"{uuid}.{slot}.lock", fcntl.LOCK_EX))]
    if not slots:
        _release([whole])
        return []
    return [whole, *slots]


def _locked(name: str, kind: int, wait: bool = False) -> IO | None:
    """The open, locked file; None if another process has it, unless this one shall ``wait``."""
    folder = Path(os.environ.get("FOFG_GPU_LOCKS", "/tmp/fofg-gpus"))
    mask = os.umask(0)  # other users' jobs lock the same files
    try:
        folder.mkdir(mode=0o777, exist_ok=True)
        descriptor = os.open(folder / name.replace("/", "_"), os.O_RDWR | os.O_CREAT, 0o666)
    finally:
        os.umask(mask)
    lock = open(descriptor, "r+b")  # noqa: SIM115 - open as long as it is held
    try:
        fcntl.flock(lock, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    os.utime(lock.fileno())  # what cleans temporary folders spares new files
    return lock


def _release(locks: list[IO]) -> None:
    for lock in locks:
        lock.close()
