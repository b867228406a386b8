"""Private Ray clusters, with the real Ray; nodes are processes on this host."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from fofg.runtime import ray_cluster
from fofg.runtime.signals import TIME_LIMIT, stop_reason
from fofg.runtime.subprocesses import free_port

pytestmark = pytest.mark.engines

#: Join the cluster that the environment names, run a task on each node, write down what it saw, and wait for a file.
COMMAND = """
import json, pathlib, subprocess, sys, time
import ray

seen, waits, code = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
context = ray.init(address="auto", include_dashboard=False, log_to_driver=False)

@ray.remote(num_cpus=0)
def leave_behind():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
    return ray.get_runtime_context().get_node_id()

nodes = [node for node in ray.nodes() if node["Alive"]]
place = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
worked = [ray.get(leave_behind.options(scheduling_strategy=place(node["NodeID"], soft=False)).remote()) for node in nodes]
folders = [node["RayletSocketName"].split("/session")[0] for node in nodes]
totals = ray.cluster_resources()
totals = {"gpus": totals.get("GPU", 0), "cpus": totals["CPU"]}
result = totals | {"names": sorted(node["NodeName"] for node in nodes), "worked": sorted(worked), "folders": folders}
with open(seen, "a") as file:
    file.write(json.dumps(result) + "\\n")
while not waits.exists():
    time.sleep(0.1)
sys.exit(code)
"""


def wait_until(condition, seconds: float = 180.0):
    """Return the value of the condition as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)
    return value


def processes_with(text: str) -> list[int]:
    """Return the other processes with a text in their command line."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if process.pid != os.getpid() and any(text in part for part in process.info["cmdline"] or []):
            found.append(process.pid)
    return found


#: A job that starts a node as the trainer does, by ``subprocesses.run``.
JOB = """
import sys
from pathlib import Path
from fofg.runtime import subprocesses
sys.exit(subprocesses.run(sys.argv[2:], Path(sys.argv[1]), {}) % 256)
"""


class Cluster:
    """The jobs of one cluster on this host, its command, and what the command saw."""

    def __init__(self, folder: Path, nodes: int = 1, gpus: int = 0, code: int = 0, patience: float = 600.0):
        self.folder, self.nodes, self.gpus, self.code, self.patience = folder, nodes, gpus, code, patience
        self.port, self.environment = free_port(), os.environ | ray_cluster.environment()
        self.jobs: list[subprocess.Popen] = []
        folder.mkdir()

    def start(self, rank: int) -> subprocess.Popen:
        (self.folder / "command.py").write_text(COMMAND)
        options = {"head": socket.gethostname(), "port": self.port, "nodes": self.nodes, "gpus": self.gpus, "cpus": 5, "rank": rank}
        options |= {"folder": self.folder / "shared", "patience": self.patience, "stop-file": self.folder / "stop"}
        command = [sys.executable, self.folder / "command.py", self.folder / "seen", self.folder / "go", self.code]
        node = [sys.executable, "-m", "fofg.runtime.ray_cluster", *(f"--{name}={value}" for name, value in options.items())]
        job = [sys.executable, "-c", JOB, self.folder / f"errors-{rank}", *node, "--", *command]
        # In a session of its own, as a SLURM job is, so that a test kills this job alone.
        self.jobs.append(subprocess.Popen(list(map(str, job)), env=self.environment, start_new_session=True))
        return self.jobs[-1]

    def wait_for_command(self) -> None:
        """Wait until the command has written what it saw."""
        wait_until(lambda: self.seen() or any(job.poll() is not None for job in self.jobs))
        assert all(job.poll() is None for job in self.jobs), [self.errors(rank) for rank in range(self.nodes)]

    def seen(self) -> list[dict]:
        path = self.folder / "seen"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def errors(self, rank: int) -> str:
        return (self.folder / f"errors-{rank}").read_text()

    def processes(self) -> list[psutil.Process]:
        return [process for job in self.jobs for process in psutil.Process(job.pid).children(recursive=True)]

    def stop(self) -> None:
        for job in self.jobs:
            job.terminate()
            job.wait()


@contextmanager
def running(cluster: Cluster):
    try:
        yield cluster
    finally:
        cluster.stop()


def nothing_left(processes: list[psutil.Process], folders: list[str]) -> bool:
    return not any(process.is_running() for process in processes) and not any(processes_with(folder) for folder in folders)


def test_the_command_runs_once_for_all_nodes_and_its_exit_code_is_the_heads(tmp_path):
    with running(Cluster(tmp_path / "a", nodes=2, gpus=3, code=7)) as a:
        other, head = a.start(1), a.start(0)
        a.wait_for_command()
        processes = a.processes()
        assert len(processes_with(a.seen()[0]["folders"][0])) > 0
        (a.folder / "go").touch()
        assert (head.wait(), other.wait()) == (7, 0)
        (seen,) = a.seen()
        host = socket.gethostname()
        assert seen["names"] == [f"{host}:0", f"{host}:1"]
        assert len(set(seen["worked"])) == len(set(seen["folders"])) == 2
        assert (seen["gpus"], seen["cpus"]) == (6, 10)
        assert processes and nothing_left(processes, seen["folders"])
        assert not any(Path(folder).exists() for folder in seen["folders"])


def test_before_a_time_limit_the_head_requests_a_stop_and_no_process_exits(tmp_path):
    """SLURM sends SIGURG to all processes of a job step."""
    with running(Cluster(tmp_path / "a", nodes=2, code=3)) as a:
        other, head = a.start(1), a.start(0)
        a.wait_for_command()
        for process in a.processes():
            process.send_signal(signal.SIGURG)
        assert wait_until(lambda: stop_reason(a.folder / "stop")) == TIME_LIMIT
        (a.folder / "go").touch()
        assert (head.wait(), other.wait()) == (3, 0)


def kill_node(job: subprocess.Popen) -> None:
    psutil.Process(job.pid).children()[0].kill()


#: How a job ends -> its exit code. SIGKILL to the node's own process leaves its temporary folder, which the next node removes.
ENDS = {
    "node killed": (kill_node, -signal.SIGKILL % 256),
    "terminated": (subprocess.Popen.terminate, -signal.SIGTERM % 256),
    "killed": (subprocess.Popen.kill, -signal.SIGKILL),
}


def test_clusters_on_one_host_are_separate_and_clean_up_however_they_end(tmp_path):
    with ExitStack() as stack:
        clusters = [stack.enter_context(running(Cluster(tmp_path / name, gpus=n))) for n, name in enumerate(ENDS, 1)]
        jobs = [cluster.start(0) for cluster in clusters]
        for n, each in enumerate(clusters, 1):
            each.wait_for_command()
            (seen,) = each.seen()
            assert seen["gpus"] == n
            assert len(seen["names"]) == 1
        for each, job, (how, (end, code)) in zip(clusters, jobs, ENDS.items(), strict=True):
            processes, folders = each.processes(), each.seen()[0]["folders"]
            assert len(processes) > 5 and processes_with(folders[0]) and Path(folders[0]).exists()
            end(job)
            assert job.wait() == code
            wait_until(lambda processes=processes, folders=folders: nothing_left(processes, folders))
            if how == "node killed":
                stack.enter_context(running(Cluster(tmp_path / "next"))).start(0)
            wait_until(lambda folders=folders: not any(Path(folder).exists() for folder in folders))
            later = clusters[clusters.index(each) + 1 :]
            for other in later:
                (folder,) = other.seen()[0]["folders"]
                assert processes_with(folder) and Path(folder).exists()


@pytest.mark.parametrize(
    ("rank", "message"),
    [(0, "1 of 2 nodes have joined Ray after 2 s: {}:0"), (1, "{} has started no Ray that this node can join after 2 s")],
    ids=["a node that never joins", "a head that never starts"],
)
def test_missing_nodes_are_errors(tmp_path, rank, message):
    with running(Cluster(tmp_path / "a", nodes=2, patience=2.0)) as a:
        assert a.start(rank).wait() == 1
        assert message.format(socket.gethostname()) in a.errors(rank)
        assert not a.seen()


def test_a_port_in_use_is_an_error(tmp_path):
    a = Cluster(tmp_path / "a")
    with socket.create_server(("", a.port)), running(a):
        assert a.start(0).wait() == 1
        assert f"error: --port {a.port}: in use" in a.errors(0)
