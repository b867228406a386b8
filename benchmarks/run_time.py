"""Show where the time of a finished run went: model arithmetic, or something else.

Every job leaves its time in benchmarks/, and one that runs a model ends its log with the seconds of arithmetic (decoding, updates).
Time is counted in core seconds: a job counts once for each of its threads, and the run's time for each core. Only a run made in one
go, without a kill, adds up. Not counted: Snakemake's start, before the first job.
"""

import argparse
import csv
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from measuring import parser, report

ARITHMETIC = re.compile(r"([\d.]+) s of model arithmetic")


class Job(NamedTuple):
    """A job's rule, start and end (seconds since 1970), seconds of arithmetic (None: it runs no model), and threads."""

    rule: str
    start: float
    end: float
    arithmetic: float | None
    threads: int


def arguments() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("run_dir", type=Path, help="a finished run")
    where = options.add_mutually_exclusive_group(required=True)
    where.add_argument("--cores", type=int, help="of the machine: --cores of Snakemake")
    where.add_argument("--gpus", type=int, help="GPUs that the models ran on: each job counts for one")
    return options.parse_args()


def jobs(run: Path, cores: int | None) -> Iterator[Job]:
    """Yield the jobs of a run; without ``cores``, each has one thread."""
    settings = json.loads((run / "results/config.json").read_text(encoding="utf-8"))
    for path in sorted(run.rglob("benchmarks/results/**/*.tsv")):
        root = next(folder for folder in path.parents if folder.name == "benchmarks")
        name = path.relative_to(root / "results").with_suffix("")
        log = (root.parent / "logs" / name).with_suffix(".log")
        with path.open(encoding="utf-8", newline="") as file:
            seconds = float(next(csv.DictReader(file, delimiter="\t"))["s"])
        found = ARITHMETIC.findall(log.read_text(encoding="utf-8", errors="replace")) if log.exists() else []
        threads = threads_of(name, settings) if cores and found else 1
        end = path.stat().st_mtime
        yield Job(name.parts[0], end - seconds, end, float(found[-1]) if found else None, min(threads, cores or 1))


def threads_of(job: Path, settings: dict) -> int:
    """Return the threads of a job that runs a model; ``job``: rule, and wildcards."""
    training = settings["training"]
    if job.parts[0] == "train_rl" or job.name.startswith("stage2-rft-iter"):
        return training["stage2_threads"]
    return training["threads"] if job.parts[0] == "train_sft" else settings["rollout_engine"]["threads"]


def idle(done: list[Job], cores: int) -> tuple[float, float]:
    """Return core seconds in which no job ran, and those in which fewer ran than there are cores."""
    events = sorted([(job.start, job.threads) for job in done] + [(job.end, -job.threads) for job in done])
    running, none, few = 0, 0.0, 0.0
    for (moment, change), (following, _) in pairwise(events):
        running += change
        free = max(0, cores - running) * (following - moment)
        none, few = (none + free, few) if running == 0 else (none, few + free)
    return none, few


def main() -> None:
    given = arguments()
    cores = given.cores or given.gpus
    done = list(jobs(given.run_dir, given.cores))
    if not done:
        sys.exit(f"error: {given.run_dir}: no benchmarks/ of a run")
    wall = max(job.end for job in done) - min(job.start for job in done)
    by_rule = defaultdict(list)
    for job in done:
        by_rule[job.rule].append(job)
    spent = {rule: sum((job.end - job.start) * job.threads for job in each) for rule, each in by_rule.items()}
    print(f"{'rule':32}{'jobs':>6}{'core s':>9}{'arithmetic':>12}{'other, per job':>16}", file=sys.stderr)
    for rule in sorted(by_rule, key=lambda rule: -spent[rule]):
        computed = sum((job.arithmetic or 0.0) * job.threads for job in by_rule[rule])
        other = sum(job.end - job.start - (job.arithmetic or 0.0) for job in by_rule[rule]) / len(by_rule[rule])
        print(f"{rule:32}{len(by_rule[rule]):6}{spent[rule]:9.1f}{computed:12.1f}{other:16.2f}", file=sys.stderr)
    arithmetic = sum((job.arithmetic or 0.0) * job.threads for job in done)
    light = sum((job.end - job.start) * job.threads for job in done if job.arithmetic is None)
    none, few = idle(done, cores)
    shares = {
        "arithmetic": arithmetic,
        "start_and_end_of_model_jobs": sum(spent.values()) - light - arithmetic,
        "other_jobs": light,
        "no_job_running": none,
        "too_few_jobs": few,
    }
    shares = {name: round(seconds / (cores * wall), 3) for name, seconds in shares.items()}
    report("run_time", cores=cores, jobs=len(done), minutes=round(wall / 60, 1), **shares)


if __name__ == "__main__":
    main()
