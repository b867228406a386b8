"""Reserve GPUs of this machine for jobs; a GPU is shared only on request.

A job locks a file for each of its GPUs, so that jobs of several runs and users never meet, and a killed job leaves no lock behind.
"""

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from fofg.errors import UserError
from fofg.runtime.locks import is_locked, try_lock

#: Maximum jobs on a GPU of models that are far from filling one.
SMALL_JOBS = 256

#: Where drivers put nvidia-smi when it is not on the PATH.
DRIVER_FOLDERS = ("/usr/local/nvidia/bin", "/usr/lib/wsl/lib", "/opt/bin")


def hide_rocm_names() -> None:
    """Remove ROCR_VISIBLE_DEVICES: SLURM may name a job's GPUs to AMD's libraries as well as NVIDIA's, which verl refuses."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        os.environ.pop("ROCR_VISIBLE_DEVICES", None)


def compiler_settings() -> dict[str, str]:
    """Return vLLM's environment: its preferred sampler (FlashInfer's) is compiled by nvcc, and must be disabled without it."""
    return {} if shutil.which("nvcc") else {"VLLM_USE_FLASHINFER_SAMPLER": "0"}


def visible() -> dict[str, str]:
    """Return the GPUs that this process may use, in order: name in CUDA_VISIBLE_DEVICES -> UUID; none without a driver.

    CUDA_VISIBLE_DEVICES is read as CUDA reads it: up to the first name that no GPU has.
    """
    present = _present()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return present
    devices: dict[str, str] = {}
    for name in map(str.strip, allowed.split(",")):
        uuid = _uuid(name, present)
        if uuid is None or uuid in devices.values():
            break
        devices[name] = uuid
    return devices


def _uuid(name: str, present: dict[str, str]) -> str | None:
    """Return the UUID of a GPU by index or (the beginning of) its UUID. A part of a GPU (MIG) is its own name."""
    if name.startswith("MIG-"):
        return name
    if name.startswith("GPU-"):
        return next((uuid for uuid in present.values() if uuid.startswith(name)), None)
    return present.get(name)


def _present() -> dict[str, str]:
    """Return index -> UUID, as listed by nvidia-smi."""
    program = shutil.which("nvidia-smi", path=os.pathsep.join([os.environ.get("PATH", ""), *DRIVER_FOLDERS]))
    if program is None:
        return {}
    query = [program, "--query-gpu=index,uuid", "--format=csv,noheader"]
    listing = subprocess.run(query, capture_output=True, text=True, timeout=120, check=False)
    if listing.returncode:
        return {}
    return {index.strip(): uuid.strip() for index, _, uuid in (line.partition(",") for line in listing.stdout.splitlines()) if uuid}


def claim(count: int, jobs_per_gpu: int = 1, key: str = "gpus", poll_seconds: float = 1.0) -> list[str]:
    """Reserve ``count`` GPUs until this process ends, waiting for busy ones, and set CUDA_VISIBLE_DEVICES to them.

    Up to ``jobs_per_gpu`` jobs share a GPU, if all of them request it. A job takes all its GPUs or none, so that two jobs never
    wait for each other. Raises UserError, naming the configuration's ``key``, if the machine has fewer.
    """
    devices = visible()
    if len(devices) < count:
        raise UserError(
            f"{key}: {count} GPUs requested, {len(devices)} visible on this machine (nvidia-smi, CUDA_VISIBLE_DEVICES); lower it"
        )
    waiting = False
    while not (names := _take(devices, count, jobs_per_gpu)):
        if not waiting:
            print(f"waiting for {count} free of {len(devices)} GPUs", file=sys.stderr, flush=True)
            waiting = True
        time.sleep(poll_seconds)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names)
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # nvidia-smi's numbers; CUDA's own put the fastest GPU first
    return names


def share() -> None:
    """Use the GPU with the fewest jobs, beside these: for a model that is far from filling one. Call before importing torch.

    Waits while other jobs have every GPU to themselves. Changes nothing where there are less than two.
    """
    if len(visible()) > 1:
        claim(1, SMALL_JOBS)


def _take(devices: dict[str, str], count: int, jobs_per_gpu: int) -> list[str]:
    """Lock the ``count`` devices with the most free slots; none if too few are free. One process at a time."""
    folder = Path(os.environ.get("FOFG_GPU_LOCKS", "/tmp/fofg-gpus"))
    with _open_to_all(folder), FileLock(folder / "claims.lock", mode=0o666):
        free = {name: slots for name, uuid in devices.items() if (slots := _free_slots(folder, uuid, jobs_per_gpu))}
        if len(free) < count:
            return []
        chosen = sorted(free, key=lambda name: -len(free[name]))[:count]
        for name in chosen:
            try_lock(free[name][0])
    return [name for name in devices if name in chosen]


def _free_slots(folder: Path, uuid: str, jobs_per_gpu: int) -> list[Path]:
    """Return the lock files of a GPU that ``jobs_per_gpu`` jobs share, without those in use; none if it is shared otherwise."""
    stem = f"{uuid.replace('/', '_')}.of{jobs_per_gpu}"
    slots = [folder / f"{stem}.{slot}.lock" for slot in range(jobs_per_gpu)]
    busy = [path for path in folder.glob(f"{stem.rpartition('.')[0]}.*.lock") if is_locked(path)]
    return [path for path in slots if path not in busy] if set(busy) <= set(slots) else []


@contextmanager
def _open_to_all(folder: Path):
    """Create the folder, and files in it, with permissions for all users, since their jobs share the GPUs."""
    mask = os.umask(0)
    try:
        folder.mkdir(mode=0o777, exist_ok=True)
        yield
    finally:
        os.umask(mask)
