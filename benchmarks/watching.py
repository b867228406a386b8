"""What a training of verl writes and takes while it runs, and the seconds of a run's jobs."""

import json
import os
import subprocess
from pathlib import Path

import psutil

from fofg.runtime import gpus
from fofg.training.verl.protocol import last_step

#: Metrics that are kept, by how they begin.
FIGURES = ("timing_s/", "perf/", "actor/perf/", "train/", "response_length/", "fofg/")


class Watch:
    """What verl writes while it runs, before the state of the run is removed, and the most memory that was used."""

    def __init__(self, state: Path):
        self.state, self.steps, self.checkpoint = state, {}, 0
        self.gpus = list(gpus.visible().values())
        self.device, self.gpu_before = gpu_memory(self.gpus)
        self.gpu_memory, self.main_memory, self.main_before = 0, 0, main_memory()

    def look(self) -> None:
        for file in self.state.glob("*/verl.jsonl"):
            self.read(file)
        self.main_memory = max(self.main_memory, main_memory() - self.main_before)
        self.gpu_memory = max(self.gpu_memory, gpu_memory(self.gpus)[1] - self.gpu_before)
        self.checkpoint = max([self.checkpoint, *map(size, self.state.glob("*/global_step_*"))])

    def read(self, file: Path) -> None:
        """Keep the figures of the steps in verl's log, but for a last line that is not complete."""
        try:
            lines = file.read_text(encoding="utf-8").split("\n")[:-1]
        except FileNotFoundError:  # removed meanwhile
            return
        for line in map(json.loads, lines):
            figures = {
                name: float(f"{value:.4g}")
                for name, value in line["data"].items()
                if value is not None and name.startswith(FIGURES)
            }
            self.steps.setdefault(line["step"], {}).update(figures)

    def saved(self) -> int:
        """Return the step of the last complete checkpoint."""
        return max([0, *map(last_step, self.state.glob("*"))])


def job_seconds(folder: Path) -> dict[str, list[float]]:
    """Return the seconds of each job, as Snakemake has recorded them, by rule; a job that was killed may have an empty record."""
    seconds: dict[str, list[float]] = {}
    for file in sorted(folder.glob("**/*.tsv")):
        rule = file.relative_to(folder).with_suffix("").parts[0]
        for line in file.read_text(encoding="utf-8").splitlines()[1:2]:
            seconds.setdefault(rule, []).append(float(line.split("\t")[0]))
    return seconds


def main_memory() -> int:
    """Return the bytes of main memory that are used, without files in memory, such as those in /dev/shm."""
    memory = psutil.virtual_memory()
    return memory.used - memory.shared


def gpu_memory(uuids: list[str]) -> tuple[str, int]:
    """Return the kind of GPUs, and the MiB used on the fullest, as far as nvidia-smi knows."""
    if not uuids:
        return "no GPU", 0
    query = ["nvidia-smi", f"--id={','.join(uuids)}", "--query-gpu=name,memory.used", "--format=csv,noheader,nounits"]
    rows = [line.split(", ") for line in subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()]
    rows = [row for row in rows if len(row) == 2]
    return (rows[0][0] if rows else "unknown"), max((int(used) for _, used in rows if used.isdigit()), default=0)


def size(folder: Path) -> int:
    """Return the bytes in a folder; files may be removed meanwhile."""
    sizes = []
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                sizes.append(os.stat(os.path.join(parent, name)).st_size)
            except FileNotFoundError:
                continue
    return sum(sizes)
