"""What a SLURM cluster has, asked before anything is submitted, and what it still works at."""

import math
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fofg.errors import UserError

#: Seconds between looks at the queue: ours, and at most those of Snakemake's plugin.
POLL_SECONDS, MOST_POLL_SECONDS = 5.0, 180


@dataclass(frozen=True)
class Request:
    """What a job of a rule asks for: minutes; megabytes, CPUs and GPUs on each of its nodes. ``partition``: or None."""

    rule: str
    partition: str | None
    minutes: int
    memory: int
    cpus: int = 1
    gpus: int = 0
    nodes: int = 1


@dataclass(frozen=True)
class Kind:
    """Nodes of one kind in a partition. ``minutes``: the partition's limit, None without one; memory in megabytes."""

    partition: str
    minutes: int | None
    memory: int
    cpus: int
    gpus: int
    nodes: int


def check(requests: Iterable[Request], polls_queue: bool = False) -> list[Kind]:
    """The cluster's nodes. Raises UserError for jobs that it would refuse or never start, each rule once.

    ``polls_queue``: jobs are followed by squeue, which must remember those that have ended longer than it is not asked.
    """
    kinds = _kinds(_ask("sinfo", "--all", "--noheader", "--exact", "--format=%R|%l|%m|%c|%G|%D"))
    told: dict[str, str] = {}
    for request in requests:
        if request.rule not in told and (problem := _problem(request, kinds)):
            told[request.rule] = f"{request.rule}: {problem}"
    if told:
        raise UserError("\n".join(["the cluster can't run these jobs:", *told.values()]))
    if polls_queue and (remembered := _remembered()) <= MOST_POLL_SECONDS:
        raise UserError(
            f"the cluster forgets jobs {remembered} s after their end (MinJobAge), squeue is asked every {MOST_POLL_SECONDS} s; "
            "set slurm-status-command: sacct in the profile if accounting is on, or have MinJobAge raised"
        )
    return kinds


def room(kinds: Sequence[Kind], partition: str) -> tuple[float, float]:
    """Megabytes of the largest node and minutes of the longest limit, infinite without one, of a partition (or of a,b,c)."""
    own = [kind for kind in kinds if kind.partition in partition.split(",")]
    return max(kind.memory for kind in own), max(math.inf if kind.minutes is None else kind.minutes for kind in own)


def _problem(request: Request, kinds: Sequence[Kind]) -> str | None:
    """Why none of the partitions that a request names (a,b,c) can run it, and the cure."""
    names = request.partition.split(",") if request.partition else []
    known = sorted({kind.partition for kind in kinds})
    if unknown := [name for name in names if name not in known]:
        cure = "correct cpu_partition and gpu_partition at the top of profiles/slurm/config.yaml"
        return f"no partition {unknown[0]}, there are {', '.join(known)}; {cure}"
    problems = [_misfit(request, [kind for kind in kinds if kind.partition == name]) for name in names]
    return None if None in problems else next(iter(problems), None)


def _misfit(request: Request, kinds: Sequence[Kind]) -> str | None:
    """Why one partition can't run it."""
    name, limit = kinds[0].partition, kinds[0].minutes
    if limit is not None and limit < request.minutes:
        asked = f"asks for {request.minutes} minutes, partition {name} allows {limit}"
        return f"{asked}; lower cluster.max_runtime or cluster.resources.{request.rule}.runtime"
    wanted = {"memory": request.memory, "cpus": request.cpus, "gpus": request.gpus}
    fitting = [kind for kind in kinds if all(getattr(kind, key) >= amount for key, amount in wanted.items())]
    if sum(kind.nodes for kind in fitting) >= request.nodes:
        return None
    asked = f"asks for {_amounts(wanted)} on {_count(request.nodes, 'node')}"
    most = {key: max(getattr(kind, key) for kind in kinds) for key in wanted}
    has = f"partition {name} has {_count(sum(kind.nodes for kind in kinds), 'node')} of at most {_amounts(most)}"
    return f"{asked}, {has}; lower cluster.resources.{request.rule}.mem_mb, or its threads, gpus and nodes"


def _amounts(of: dict[str, int]) -> str:
    return f"{of['memory']:,} MB, {_count(of['cpus'], 'CPU')}, {_count(of['gpus'], 'GPU')}"


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"


def _kinds(told: str) -> list[Kind]:
    """Nodes as they are configured, down ones too, from sinfo's ``partition|limit|memory|CPUs|GRES|nodes``, a kind a line."""
    kinds = []
    for line in told.splitlines():
        partition, limit, memory, cpus, gres, nodes = (part.strip() for part in line.split("|"))
        gpus = sum(int(count) for count in re.findall(r"\bgpu(?::[^:,()]+)?:(\d+)", gres))
        kinds.append(Kind(partition, _minutes(limit), int(memory.rstrip("+")), int(cpus.rstrip("+")), gpus, int(nodes)))
    return kinds


def _remembered() -> int:
    """Seconds for which the cluster knows of a job that has ended."""
    match = re.search(r"^MinJobAge\s*=\s*(\d+)", _ask("scontrol", "show", "config"), re.MULTILINE)
    if not match:
        raise UserError("scontrol show config names no MinJobAge; check the cluster's SLURM")
    return int(match[1])


def _minutes(limit: str) -> int | None:
    """Minutes of SLURM's [days-][[hours:]minutes:]seconds; None for infinite."""
    if not (found := re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)):
        return None
    days, hours, minutes, _ = (int(part or 0) for part in found.groups())
    return (days * 24 + hours) * 60 + minutes


def waiting(names: Sequence[str]) -> dict[str, int]:
    """State -> jobs of these names in the queue."""
    counts: dict[str, int] = {}
    if names:
        for state in _ask("squeue", "--noheader", "--name", ",".join(names), "--format=%T").split():
            counts[state] = counts.get(state, 0) + 1
    return counts


def wait(names: Sequence[str]) -> None:
    """Returns when no job of these names is in the queue any more, telling on standard error how many are."""
    before = None
    while counts := waiting(names):
        if counts != before:
            told = ", ".join(f"{count} {state.lower()}" for state, count in sorted(counts.items()))
            stop = f"scancel --name={','.join(names)}"
            print(
                f"waiting for jobs of a run that was killed: {told}; `{stop}` ends them, state saved", file=sys.stderr, flush=True
            )
            before = counts
        time.sleep(POLL_SECONDS)


def _ask(*command: str) -> str:
    """What one of SLURM's commands prints. Raises UserError with what it says of its failure."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{command[0]}: {error}; is this a machine from which jobs are submitted?") from None
    if done.returncode:
        raise UserError(f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
