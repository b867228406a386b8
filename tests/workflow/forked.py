"""Run Snakemake in processes forked from one that has already imported it, which saves most of its start."""

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
#: What Snakemake and the rules import while they run.
MODULES = ["snakemake.cli", "snakemake.report.html_reporter", "snakemake_executor_plugin_slurm", "fofg.specs", "fofg.resources"]
MODULES += ["fofg.preflight", "fofg.provenance", "fofg.failed_jobs", "fofg.runtime.slurm", "fofg.report.versions"]
SERVER.set_forkserver_preload(MODULES)


def snakemake(arguments: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess:
    """Run ``snakemake`` in a folder, and return what it prints and its exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        outputs = [Path(scratch, name) for name in ("stdout", "stderr")]
        process = SERVER.Process(target=_run, args=(arguments, folder, environment, outputs))
        process.start()
        process.join()
        return subprocess.CompletedProcess(arguments, process.exitcode, *(path.read_text() for path in outputs))


def _run(arguments: list[str], folder: Path, environment: dict[str, str], outputs: list[Path]) -> None:
    from snakemake.cli import main

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(outputs, 1):
        with open(path, "w") as file:
            os.dup2(file.fileno(), number)
    sys.argv = ["snakemake", *arguments]
    try:
        main()
    finally:
        atexit._run_exitfuncs()  # a forked process skips them
