"""Query a SLURM cluster: its node types, before anything is submitted, and the jobs in its queue."""

import math
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from fofg.errors import UserError

#: Seconds between looks at the queue.
POLL_SECONDS = 5.0


class Request(NamedTuple):
    """Resources that a job requests; memory (MB), CPUs and GPUs are per node.

    ``partition``: one, several (a,b), or None. ``group``: name of a group of jobs that are submitted as one.
    """

    rule: str
    partition: str | None
    minutes: int
    mem_mb: int
    cpus: int = 1
    gpus: int = 0
    nodes: int = 1
    group: str | None = None


class NodeType(NamedTuple):
    """``nodes`` equal nodes of a partition with a time limit of ``minutes``."""

    partition: str
    minutes: float
    mem_mb: int
    cpus: int
    gpus: int
    nodes: int

    def fits(self, job: Request) -> bool:
        limits = (self.minutes, self.mem_mb, self.cpus, self.gpus)
        return all(have >= need for have, need in zip(limits, (job.minutes, job.mem_mb, job.cpus, job.gpus)))


def check(requests: Sequence[Request]) -> tuple[float, float]:
    """Return the maximum megabytes and minutes of a job in any of the used partitions.

    Raises UserError for jobs that could never start, once per rule.
    """
    node_types = parse_node_types(_ask("sinfo", "--all", "--noheader", "--exact", "--format=%R|%l|%m|%c|%G|%D"))
    problems: dict[str, str] = {}
    for request in requests:
        if request.rule not in problems and (message := problem(request, node_types)):
            problems[request.rule] = f"{request.rule}: {message}"
    if problems:
        raise UserError("\n".join(["the cluster can't run these jobs:", *problems.values()]))
    used = [[node for node in node_types if node.partition in partitions(request)] for request in requests if request.partition]
    memory = min((max(node.mem_mb for node in nodes) for nodes in used), default=math.inf)
    return memory, min((max(node.minutes for node in nodes) for nodes in used), default=math.inf)


def problem(request: Request, node_types: Sequence[NodeType]) -> str | None:
    """Return why no partition can run a request, and the fix; None if one can."""
    known = sorted({node.partition for node in node_types})
    if unknown := [name for name in partitions(request) if name not in known]:
        cure = "correct cpu_partition and gpu_partition at the top of profiles/slurm/config.yaml"
        return f"no partition {unknown[0]}, there are {', '.join(known)}; {cure}"
    candidates = {name: [node for node in node_types if node.partition == name] for name in partitions(request)}
    fitting = [sum(node.nodes for node in nodes if node.fits(request)) for nodes in candidates.values()]
    if not candidates or max(fitting) >= request.nodes:
        return None
    name, nodes = next(iter(candidates.items()))
    have = "; ".join(f"{node.nodes} x {_amounts(node)}" for node in nodes)
    if request.group:
        cure = f"lower --group-components {request.group}=N, or cluster.resources of its rules"
    else:
        cure = f"lower cluster.max_runtime, cluster.resources.{request.rule}, or its threads, gpus and nodes"
    return f"asks for {request.nodes} x {_amounts(request)}; partition {name} has nodes {have}; {cure}"


def partitions(request: Request) -> list[str]:
    return request.partition.split(",") if request.partition else []


def parse_node_types(listing: str) -> list[NodeType]:
    """Parse sinfo's ``partition|limit|memory|CPUs|GRES|nodes``. Nodes are listed as configured, down ones too."""
    node_types = []
    for line in listing.splitlines():
        partition, limit, memory, cpus, gres, count = (part.strip() for part in line.split("|"))
        gpus = sum(int(number) for number in re.findall(r"\bgpu(?::[^:,()]+)?:(\d+)", gres))
        node_types.append(NodeType(partition, _minutes(limit), int(memory.rstrip("+")), int(cpus.rstrip("+")), gpus, int(count)))
    return node_types


def count_jobs(names: Sequence[str]) -> dict[str, int]:
    """Return state -> number of jobs of these names in the queue."""
    return Counter(_ask("squeue", "--noheader", "--name", ",".join(names), "--format=%T").split()) if names else {}


def cancel(name: str) -> None:
    """Cancel the jobs of this name in the queue, if any. Raises UserError if SLURM does not answer."""
    _ask("scancel", f"--name={name}")


def wait(names: Sequence[str]) -> None:
    """Wait until no job of these names is in the queue. Report their number on standard error."""
    before = None
    while counts := count_jobs(names):
        if counts != before:
            states = ", ".join(f"{count} {state.lower()}" for state, count in sorted(counts.items()))
            stop = f"`scancel --name={','.join(names)}` stops them, state saved"
            print(f"waiting for jobs of a run that was killed: {states}; {stop}", file=sys.stderr, flush=True)
            before = counts
        time.sleep(POLL_SECONDS)


def _amounts(of: Request | NodeType) -> str:
    limit = "no limit" if math.isinf(of.minutes) else f"{of.minutes} minutes"
    return f"({of.mem_mb:,} MB, {of.cpus} CPUs, {of.gpus} GPUs, {limit})"


def _minutes(limit: str) -> float:
    """Return the minutes of SLURM's [days-][[hours:]minutes:]seconds."""
    if not (match := re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)):
        return math.inf
    days, hours, minutes, _ = (int(part or 0) for part in match.groups())
    return (days * 24 + hours) * 60 + minutes


def _ask(*command: str) -> str:
    """Return what one of SLURM's commands prints. Raises UserError with its message if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{command[0]}: {error}; is this a machine from which jobs are submitted?") from None
    if done.returncode:
        raise UserError(f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
