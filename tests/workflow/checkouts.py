"""A clean checkout of the working tree, and Snakemake run in it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import forked
import pytest

ROOT = Path(__file__).parents[2]
SMALL = Path(__file__).with_name("small.yaml")
TARGETS = ("all", "tiny_base")


class Checkout:
    """A copy of the project's files, in which Snakemake runs as for a user; ``small``: overlays of all its runs."""

    def __init__(self, folder: Path, small: tuple[Path, ...] = (SMALL,)):
        self.folder = folder
        self.small = small

    def arguments(self, *targets: str, overlays=(), cores: int = 2) -> list[str]:
        return [*targets, "--cores", str(cores), "--configfile", *map(str, (*self.small, *overlays))]

    def command(self, *targets: str, overlays=(), cores: int = 2) -> list[str]:
        return [sys.executable, "-m", "snakemake", *self.arguments(*targets, overlays=overlays, cores=cores)]

    def run(self, *arguments: str, overlays=(), cores: int = 2, check: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run(
            self.command(*arguments, overlays=overlays, cores=cores),
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
        )
        if check and done.returncode:
            pytest.fail(f"snakemake {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"[-6000:])
        return done

    def dry_run(self, overlays=(), targets=TARGETS, cores: int = 2) -> tuple[dict[str, int], set[str]]:
        """Return the jobs by rule that a dry run would start, without targets, and the keys of their specs that have changed."""
        done = snakemake(*self.arguments(*targets, overlays=overlays, cores=cores), "--dry-run", folder=self.folder)
        output = done.stdout + done.stderr
        assert done.returncode == 0, output[-6000:]
        table = output.partition("Job stats:")[2].partition("total")[0]
        jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE)}
        if not jobs:
            assert "Nothing to be done" in output
        changes = re.findall(r"Params have changed since last execution: (.*)", output)
        changed = {change.split(" ")[0] for line in changes for change in line.split("; ")}
        return {rule: count for rule, count in jobs.items() if rule not in targets}, changed

    def stale(self, overlays=(), targets=TARGETS, cores: int = 2) -> dict[str, int]:
        return self.dry_run(overlays, targets, cores)[0]


def environment() -> dict[str, str]:
    """Return the environment with the interpreter's folder first on PATH, as `make` sets it."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def snakemake(*arguments: str, folder=ROOT) -> subprocess.CompletedProcess:
    return forked.snakemake(list(arguments), folder, environment())


def make_checkout(folder: Path, small: tuple[Path, ...] = (SMALL,)) -> Checkout:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return Checkout(folder, small)
