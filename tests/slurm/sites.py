"""The workflow as a user of a cluster runs it: submitted from a checkout, watched in the queue, interrupted."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from checkouts import Checkout, environment
from cluster import Cluster, wait_for

ROOT = Path(__file__).parents[2]
#: Snakemake as it runs submitted jobs: the queue is asked soon and often.
SUBMITTING = (sys.executable, Path(__file__).with_name("frequent_polling.py"))
POLLING = ("--slurm-init-seconds-before-status-checks", "2")
#: Rules whose jobs Snakemake's main process runs.
SOURCE = "".join(path.read_text() for path in [ROOT / "Snakefile", *ROOT.glob("rules/*.smk")])
LOCAL = set(re.findall(r"^ +(\w+),$", SOURCE.partition("localrules:")[2].partition("\n\n\n")[0], re.MULTILINE))
LOCAL |= set(re.findall(r"^(?:use rule \w+ as|rule) (\w+)(?:(?!^\S).)*?^    localrule: True", SOURCE, re.MULTILINE | re.DOTALL))
#: A run that takes longer than this many seconds hangs.
PATIENCE = 1200


class Site:
    """``folder``: the checkout; ``runs``: those submitted from it."""

    def __init__(self, checkout: Checkout, cluster: Cluster):
        self.folder, self.cluster, self.runs = checkout.folder, cluster, []

    def configure(self, name: str, **settings) -> Path:
        """Writes an overlay of the default configuration."""
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(settings))
        return path

    def submit(self, *targets: str, overlays=(), more=()) -> "Run":
        """Starts a run in the background."""
        run = Run(self, [*targets, "--workflow-profile", "profiles/slurm", *POLLING, *more, "--configfile", *map(str, overlays)])
        self.runs.append(run)
        return run

    def local(self, *targets: str, overlays=(), more=()) -> str:
        """Runs on this machine, without the cluster; what Snakemake prints."""
        arguments = [*targets, "--cores", "2", *more, "--configfile", *map(str, overlays)]
        done = self.program("snakemake", *arguments)
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stdout + done.stderr

    def program(self, module: str, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, cwd=self.folder, env=environment(), capture_output=True, text=True, timeout=PATIENCE)

    def planned(self, *targets: str, overlays=()) -> dict[str, int]:
        """Return the jobs by rule that `fofg plan` announces, without those that Snakemake's main process runs."""
        out = self.program("fofg", "plan", *targets, "--json", "--configfile", *map(str, overlays)).stdout
        # The rules of figures, one per name in a table, are all local.
        rules = [row for row in json.loads(out)["rules"] if row["rule"] not in LOCAL and not row["rule"].startswith("plot_")]
        return {row["rule"]: row["jobs"] for row in rules}

    def job(self, rule: str, state: str = "RUNNING") -> str:
        """Number of a job of a rule that is in a state, as soon as there is one."""

        def found() -> str | None:
            if self.runs and self.runs[-1].process.poll():
                self.runs[-1].wait()  # fails with what it printed
            rows = [line.split("|") for line in self.cluster.queue("%i|%T|%k|%Z")]
            return next((row[0] for row in rows if row[1] == state and rule in row[2] and row[3] == str(self.folder)), None)

        return wait_for(found, f"no job of {rule} is {state.lower()}", PATIENCE)

    def logs(self, rule: str) -> dict[str, str]:
        """SLURM's own log of every job of a rule, by its number."""
        return {path.stem: path.read_text(errors="replace") for path in self.folder.glob(f"logs/slurm/*_{rule}/**/*.log")}

    def end(self) -> None:
        for run in self.runs:
            run.kill()
        for line in self.cluster.queue("%i|%Z"):
            if line.partition("|")[2] == str(self.folder):
                self.cluster.ask("scancel", line.partition("|")[0])
        wait_for(lambda: str(self.folder) not in self.cluster.queue("%Z"), "jobs of a test stay in the queue")
        # Without cgroups, SLURM loses sight of some processes of a node that it takes for lost.
        subprocess.run(["pkill", "-9", "--full", str(self.folder)])


class Run:
    """One process of Snakemake that submits jobs."""

    def __init__(self, site: Site, arguments: list[str]):
        self.output = site.folder / f"run{len(site.runs)}.log"
        with open(self.output, "w") as output:
            self.process = subprocess.Popen(
                [*SUBMITTING, *arguments],
                cwd=site.folder,
                env=environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def submitted(self) -> int:
        """Jobs that it has put into the queue."""
        return len(re.findall(r"has been submitted with SLURM jobid", self.said()))

    def wait(self) -> str:
        """What it printed, when it has ended well."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after {PATIENCE} s:\n{self.said()[-6000:]}")
        assert code == 0, self.said()[-6000:]
        return self.said()

    def fail(self) -> str:
        """What it printed, when it has ended with an error."""
        assert self.process.wait(PATIENCE) != 0, self.said()[-6000:]
        return self.said()

    def kill(self) -> None:
        """As a machine that goes down: without a chance to cancel its jobs."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
