"""Fast dry runs: each is forked from a process that has already imported Snakemake."""

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["snakemake.cli", "snakemake_executor_plugin_slurm", "fofg.specs", "fofg.resources"])


def dry_run(folder: Path, arguments: list[str]) -> tuple[int, str]:
    """Run ``snakemake --dry-run`` in a folder. Return its exit status and what it prints.

    It has the environment of the first call, not later changes.
    """
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch, "output")
        process = SERVER.Process(target=_snakemake, args=(folder, [*arguments, "--dry-run"], output))
        process.start()
        process.join()
        return process.exitcode, output.read_text()


def _snakemake(folder: Path, arguments: list[str], output: Path) -> None:
    from snakemake.cli import main

    os.chdir(folder)
    with open(output, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["snakemake", *arguments]
    main()
