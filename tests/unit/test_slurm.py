"""Jobs that a cluster would refuse or never start are reported before anything is submitted."""

import math

import pytest

from fofg.errors import UserError
from fofg.runtime import slurm
from fofg.runtime.slurm import NodeType, Request, parse_node_types, problem

SMALL = NodeType("cpu", minutes=60, mem_mb=8000, cpus=4, gpus=0, nodes=3)
LARGE = NodeType("gpu", minutes=math.inf, mem_mb=512_000, cpus=64, gpus=8, nodes=2)


@pytest.mark.parametrize(
    "request_",
    [
        Request("select", "cpu", minutes=60, mem_mb=8000, cpus=4),
        Request("train_rl", "gpu", minutes=100_000, mem_mb=512_000, cpus=64, gpus=8, nodes=2),
        Request("either", "cpu,gpu", minutes=61, mem_mb=1000, gpus=1),
        Request("first", "cpu,gpu", minutes=1, mem_mb=1000, nodes=3),
        Request("default", None, minutes=100_000, mem_mb=1),
    ],
)
def test_jobs_that_fit(request_):
    assert problem(request_, [SMALL, LARGE]) is None


@pytest.mark.parametrize(
    ("request_", "parts"),
    [
        (Request("a", "gpus", 1, 1), ["no partition gpus, there are cpu, gpu", "profiles/slurm/config.yaml"]),
        (Request("a", "cpu", 61, 1), ["61 minutes", "60 minutes", "lower cluster.max_runtime"]),
        (Request("rl_a", "cpu", 61, 1, group="rl"), ["61 minutes", "lower --group-components rl=N"]),
        (Request("a", "cpu", 1, 8001), ["8,001 MB", "8,000 MB", "cluster.resources.a"]),
        (Request("a", "gpu", 1, 1, cpus=65), ["65 CPUs", "64 CPUs"]),
        (Request("a", "gpu", 1, 1, gpus=9), ["9 GPUs", "8 GPUs"]),
        (Request("a", "gpu", 1, 1, gpus=8, nodes=3), ["3 x ", "2 x "]),
        (Request("a", "cpu,gpu", 61, 1, nodes=3), ["61 minutes", "60 minutes"]),
    ],
)
def test_jobs_that_do_not_fit_are_reported_with_the_cure(request_, parts):
    message = problem(request_, [SMALL, LARGE])
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [("(null)", 0), ("gpu:8", 8), ("gpu:h100:8(S:0-1)", 8), ("gpu:a100:4,gpu:h100:4", 8), ("shard:16,gpu:2(IDX:0-1)", 2)],
)
def test_gpus_in_sinfos_listing(gres, gpus):
    assert parse_node_types(f"gpu|2-00:00:00|515000+|64+|{gres}|12\n") == [NodeType("gpu", 2880, 515_000, 64, gpus, 12)]


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [
        ("1:00:00", 60),
        ("30:00", 30),
        ("0:30", 0),
        ("2-00:00:00", 2880),
        ("1-12:30:00", 2190),
        ("infinite", math.inf),
        ("n/a", math.inf),
    ],
)
def test_time_limits_in_sinfos_listing(limit, minutes):
    assert parse_node_types(f"cpu|{limit}|1|1|(null)|1")[0].minutes == minutes


def test_a_machine_without_slurm_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"sinfo: .*is this a machine from which jobs are submitted"):
        slurm.check([])
