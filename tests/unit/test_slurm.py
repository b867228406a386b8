"""What a cluster would refuse or never start is told before anything is submitted."""

import pytest

from fofg.errors import UserError
from fofg.runtime import slurm
from fofg.runtime.slurm import Kind, Request, _kinds, _minutes, _problem

SMALL = Kind("cpu", minutes=60, memory=8000, cpus=4, gpus=0, nodes=3)
LARGE = Kind("gpu", minutes=None, memory=512_000, cpus=64, gpus=8, nodes=2)


@pytest.mark.parametrize(
    ("told", "minutes"),
    [("1:00:00", 60), ("30:00", 30), ("0:30", 0), ("2-00:00:00", 2880), ("1-12:30:00", 2190), ("infinite", None), ("n/a", None)],
)
def test_time_limits_as_sinfo_tells_them(told, minutes):
    assert _minutes(told) == minutes


@pytest.mark.parametrize(
    "asked",
    [
        Request("select", "cpu", minutes=60, memory=8000, cpus=4),
        Request("train_rl", "gpu", minutes=100_000, memory=512_000, cpus=64, gpus=8, nodes=2),
        Request("either", "cpu,gpu", minutes=61, memory=1000, gpus=1),
        Request("first", "cpu,gpu", minutes=1, memory=1000, nodes=3),
        Request("default", None, minutes=100_000, memory=1),
    ],
)
def test_what_the_cluster_has(asked):
    assert _problem(asked, [SMALL, LARGE]) is None


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (Request("a", "cpu,gpu", 61, 1, nodes=3), "asks for 61 minutes, partition cpu allows 60; lower cluster.max_runtime or"),
        (
            Request("a", "gpus", 1, 1),
            "no partition gpus, there are cpu, gpu; correct cpu_partition and gpu_partition at the top of",
        ),
        (
            Request("a", "cpu", 61, 1),
            "asks for 61 minutes, partition cpu allows 60; lower cluster.max_runtime or cluster.resources",
        ),
        (
            Request("a", "cpu", 1, 8001),
            "asks for 8,001 MB, 1 CPU, 0 GPUs on 1 node, partition cpu has 3 nodes of at most 8,000 MB, 4",
        ),
        (
            Request("a", "gpu", 1, 1, gpus=9),
            "asks for 1 MB, 1 CPU, 9 GPUs on 1 node, partition gpu has 2 nodes of at most 512,000 MB",
        ),
        (
            Request("a", "gpu", 1, 1, gpus=8, nodes=3),
            "asks for 1 MB, 1 CPU, 8 GPUs on 3 nodes, partition gpu has 2 nodes of at most",
        ),
    ],
)
def test_what_it_lacks_is_told_with_the_cure(asked, problem):
    assert _problem(asked, [SMALL, LARGE]).startswith(problem)


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [("(null)", 0), ("gpu:8", 8), ("gpu:h100:8(S:0-1)", 8), ("gpu:a100:4,gpu:h100:4", 8), ("shard:16,gpu:2(IDX:0-1)", 2)],
)
def test_nodes_as_sinfo_tells_them(gres, gpus):
    assert _kinds(f"gpu|2-00:00:00|515000+|64+|{gres}|12\n") == [Kind("gpu", 2880, 515_000, 64, gpus, 12)]


def test_a_command_that_is_missing_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"sinfo: .*is this a machine from which jobs are submitted"):
        slurm.check([])
