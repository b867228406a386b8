"""``fofg plan``: what Snakemake would run for some targets, and the resources for it.

Jobs come from a dry run of the workflow. Those that run a model state tokens, time and disk as resources (``fofg.resources``).
"""

import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from fofg.config import Config, Plan
from fofg.config.types import CHECKOUT
from fofg.errors import UserError, explain
from fofg.report.labels import label
from fofg.report.plain import aligned, short
from fofg.resources import Effort, Estimate, estimate_efforts, model_size

#: Starts of a job on a cluster: profiles/slurm has three retries.
MAX_STARTS = 4
_UNKNOWN = Estimate(*[0] * len(Estimate._fields))


@dataclass(frozen=True)
class Job:
    """One job of a dry run. ``estimate`` is zero but for memory and time limit where a job runs no model."""

    rule: str
    inputs: list[str]
    outputs: list[str]
    gpus: int
    estimate: Estimate
    reason: str = ""


def dry_run(
    targets: Sequence[str], configfiles: Sequence[str] = (), values: Mapping[str, Any] | None = None, stale: bool = False
) -> list[Job]:
    """List the jobs of some targets in a possible order; ``stale``: without those that are up to date.

    ``values``: configuration that is laid over the files. Raises UserError with Snakemake's message.
    """
    with tempfile.NamedTemporaryFile("w", prefix="fofg-", suffix=".yaml", encoding="utf-8") as overlay:
        yaml.safe_dump(dict(values or {}), overlay)
        overlay.flush()
        lines = _planned(targets, [*configfiles, overlay.name], stale)
    return _sort([job for job in map(_job, lines) if job.outputs])


def _planned(targets: Sequence[str], configfiles: Sequence[str], stale: bool) -> list[str]:
    """Return what Snakemake's dry run prints for the jobs, a line each. Raises UserError with its message."""
    command = [sys.executable, "-m", "snakemake", *targets, "--snakefile", str(CHECKOUT / "Snakefile"), "--cores", "1", "--dry-run"]
    command += ["--logger", "fofg-jobs", *([] if stale else ["--forceall"]), "--configfile", *configfiles]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        # Snakemake shows a traceback for a folder that it can't write to.
        system = re.search(r"^\w+Error: \[Errno (\d+)\] .*: '(.+)'$", done.stderr, re.MULTILINE)
        if system and (message := explain(OSError(int(system[1]), os.strerror(int(system[1])), system[2]))):
            raise UserError(message)
        lines = [
            line
            for line in done.stderr.splitlines()
            if not line.startswith(("Using ", "WorkflowError in file ", "MissingRuleException"))
        ]
        raise UserError("\n".join(lines) or f"snakemake failed with exit status {done.returncode}")
    return done.stdout.splitlines()


def _sort(jobs: Sequence[Job]) -> list[Job]:
    """Sort jobs by their depth in the graph, then by name; Snakemake lists inputs first, but in an order that varies."""
    depths: dict[str, int] = {}
    for job in jobs:
        depth = 1 + max((depths.get(path, 0) for path in job.inputs), default=0)
        depths |= dict.fromkeys(job.outputs, depth)
    return sorted(jobs, key=lambda job: (depths[job.outputs[0]], job.rule, job.outputs))


def _job(line: str) -> Job:
    job = json.loads(line)
    resources = job["resources"]
    estimate = _UNKNOWN._replace(**{name: resources[name] for name in Estimate._fields if name in resources})
    return Job(job["rule_name"], job["input"], job["output"], resources.get("gpu", 0), estimate, job["reason"])


def summarize(settings: Config, rule: str, jobs: Sequence[Job]) -> dict[str, Any]:
    """Sum up the jobs of one rule.

    ``gpus``, ``mem_mb`` (per node) and ``minutes`` (the time limit) are what the largest job requests. ``starts`` is how often the
    longest job has to start within its limit. ``requested_gpu_hours`` counts one start of each job.
    """
    total = Estimate(*(sum(column) for column in zip(*(job.estimate for job in jobs))))
    largest = Estimate(*(max(column) for column in zip(*(job.estimate for job in jobs))))
    usable, start = 60 * largest.runtime - settings.cluster.grace_period, settings.plan.start_seconds
    fits = largest.seconds <= usable or not largest.seconds
    return {
        "rule": rule,
        "jobs": len(jobs),
        "responses": total.responses,
        "tokens": total.tokens,
        "max_tokens": total.max_tokens,
        "gpu_hours": total.gpu_seconds / 3600,
        "max_gpu_hours": total.max_gpu_seconds / 3600,
        "kept_gb": total.kept_mb / 1000,
        "saves": total.saves,
        "gpus": max(job.gpus for job in jobs),
        "mem_mb": largest.mem_mb,
        "minutes": largest.runtime,
        "expected_minutes": largest.seconds / 60,
        "starts": 1 if fits else math.ceil((largest.seconds - start) / max(usable - start, 1)),
        "requested_gpu_hours": sum(job.gpus * job.estimate.runtime for job in jobs) / 60,
    }


def wall_seconds(settings: Config, jobs: Sequence[Job], gpus: int) -> float:
    """Simulate a schedule: jobs start in order once their inputs and GPUs are available; without GPUs, one at a time.

    Raises UserError if a job requests more GPUs than there are.
    """
    shared = settings.rollout_engine.jobs_per_gpu
    free = [0.0] * max(gpus * shared, 1)  # when each slot becomes free
    ready: dict[str, float] = {}  # when each file is there
    for job in jobs:
        begin = max((ready.get(path, 0.0) for path in job.inputs), default=0.0)
        slots = round(job.estimate.gpu_seconds / job.estimate.seconds * shared) if job.gpus and job.estimate.seconds else 1
        if slots > len(free):
            raise UserError(
                f"--gpus: {gpus}, but {job.rule} requests {job.gpus}; lower rollout_engine.gpus, training.gpus or nodes"
            )
        if job.estimate.seconds:
            free.sort()
            begin = max(begin, free[slots - 1])
            free[:slots] = [begin + job.estimate.seconds] * slots
        ready |= dict.fromkeys(job.outputs, begin + job.estimate.seconds)
    return max(ready.values(), default=0.0)


def as_dict(settings: Config, jobs: Sequence[Job], gpus: int | None) -> dict[str, Any]:
    """Return the whole plan: a row per rule, totals, and the assumptions behind them."""
    rules = [
        summarize(settings, rule, [job for job in jobs if job.rule == rule]) for rule in dict.fromkeys(job.rule for job in jobs)
    ]
    max_gpus = max((job.gpus for job in jobs), default=0)
    if gpus and not max_gpus:
        raise UserError("--gpus: no job requests a GPU; set rollout_engine.gpus and training.gpus")
    devices = gpus or max_gpus
    sums = ("jobs", "responses", "tokens", "max_tokens", "gpu_hours", "max_gpu_hours", "kept_gb", "saves", "requested_gpu_hours")
    side_by_side = max(1, devices // max(settings.training.workers(), 1))
    total = {name: sum(row[name] for row in rules) for name in sums}
    total["wall_hours"] = wall_seconds(settings, jobs, devices) / 3600
    total["state_gb"] = sum(sorted((job.estimate.state_mb for job in jobs), reverse=True)[:side_by_side]) / 1000
    assumptions = settings.plan.model_dump(mode="json") | {"model_parameters": model_size(settings)}
    both = {"train_iteration", "train_rl"} <= {job.rule for job in jobs}
    arms = [effort._asdict() for effort in estimate_efforts(settings)] if both else []
    return {"gpus": devices, "rules": rules, "total": total, "arms": arms, "assumptions": assumptions}


def as_text(settings: Config, plan: dict[str, Any]) -> str:
    """Format a plan as a table of rules, totals, warnings and assumptions."""
    unit, total = "GPU" if plan["gpus"] else "machine", plan["total"]
    headings = [
        "rule",
        "jobs",
        "responses",
        "tokens",
        "tokens ≤",
        f"{unit} h",
        f"{unit} h ≤",
        "GB",
        "GB RAM",
        "limit",
        "GPUs",
        "GPU h asked",
    ]
    priced = [row for row in plan["rules"] if row["gpu_hours"]]
    lines = [_cells(row) for row in priced]
    if others := sum(row["jobs"] for row in plan["rules"]) - sum(row["jobs"] for row in priced):
        lines.append(["others", str(others)])
    lines.append(_cells(total | {"rule": "in all"}))
    columns = len(headings) if plan["gpus"] else len(headings) - 2
    output = aligned([line[:columns] for line in [headings, *lines]])
    output += [warning for row in priced if (warning := _warning(settings, row))]
    if priced:
        on = f"{plan['gpus']} GPUs" if plan["gpus"] else "this machine"
        output.append(f"wall clock  {total['wall_hours']:.3g} hours on {on}")
        output.append(f"disk  {total['kept_gb']:.3g} GB under {settings.run_dir}, {total['state_gb']:.3g} GB more during training")
        save_hours = total["saves"] * settings.plan.save_seconds * max(settings.training.workers(), 1) / 3600
        output.append(f"checkpoints  {total['saves']}, {save_hours:.2g} of the {unit} hours")
        if plan["arms"]:
            rows = [[label(arm["model"]), *(short(arm[name]) for name in Effort._fields[1:])] for arm in plan["arms"]]
            heads = ["what the arms of Stage 2 take", "rollouts", "responses trained on", "tokens trained on"]
            output += ["", *aligned([heads, *rows])]
        fields = [
            [f"{plan['assumptions'][name]:,.12g}", f"plan.{name}", str(field.description)]
            for name, field in Plan.model_fields.items()
        ]
        output += ["", "Estimated with these; replace them by what you measure (benchmarks/rollouts.py, metrics.jsonl):"]
        output.append("\n".join(f"  {value:>13}  {key:<30}  {meaning}" for value, key, meaning in fields))
    return "\n".join(output)


def _cells(row: dict[str, Any]) -> list[str]:
    counts = [row["jobs"], *(row[name] for name in ("responses", "tokens", "max_tokens", "gpu_hours", "max_gpu_hours", "kept_gb"))]
    minutes = row.get("minutes")
    requests = [f"{row['mem_mb'] / 1000:.1f}", f"{minutes // 60}:{minutes % 60:02}", str(row["gpus"])] if minutes else ["", "", ""]
    return [row["rule"], *map(short, counts), *requests, short(row["requested_gpu_hours"])]


def _warning(settings: Config, row: dict[str, Any]) -> str:
    """Return a warning if a job takes longer than its limit."""
    if row["starts"] == 1:
        return ""
    job = f"{row['rule']}: a job is expected to take {row['expected_minutes']:.0f} minutes with a limit of {row['minutes']}"
    if row["starts"] <= MAX_STARTS:
        return f"{job}; it resumes in {row['starts'] - 1} retries"
    return f"{job} and needs {row['starts']} starts, but profiles/slurm gives {MAX_STARTS}; raise cluster.max_runtime"
