"""A Ray cluster for one command on the nodes of one job: started for it, closed to all others, and gone with it.

``python -m fofg.runtime.ray_cluster --head HOST --port P --nodes N --gpus G --folder SHARED -- COMMAND ...`` runs once on each
node, started by ``srun``. Rank 0 is the head: when all have joined it runs COMMAND, and exits with its code. SIGURG, which SLURM
sends to all processes of a step before a time limit, makes it ask COMMAND to save and end, by a file. Checked with Ray 2.60.
"""

import argparse
import ipaddress
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from fofg.errors import UserError
from fofg.runtime import gpus
from fofg.runtime.signals import TIME_LIMIT
from fofg.runtime.subprocesses import free_port
from fofg.training.verl import guard, stops

#: Seconds that the command and Ray have to end by themselves. With those of ``guard``: less than a job has that is stopped.
_COMMAND_GRACE, _RAY_GRACE = 10.0, 5.0
#: Seconds that Ray has to start on a node; and that the head has to say it is over, when Ray has ended on another.
_START, _LOST = 300.0, 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one node of the cluster to its end. Returns the exit code: COMMAND's on the head, 0 elsewhere, 1 after an error."""
    parser = argparse.ArgumentParser(prog="python -m fofg.runtime.ray_cluster", description=__doc__.splitlines()[0])
    parser.add_argument("--head", required=True, metavar="HOST", help="host of rank 0")
    parser.add_argument("--port", required=True, type=int, metavar="P", help="a free port of that host")
    parser.add_argument("--nodes", required=True, type=int, metavar="N")
    parser.add_argument("--gpus", required=True, type=int, metavar="G", help="GPUs of each node")
    parser.add_argument("--cpus", type=int, metavar="C", help="CPUs that Ray takes each node to have (default: those that it has)")
    parser.add_argument("--folder", required=True, type=Path, metavar="SHARED", help="folder that all nodes see, for Ray's output")
    parser.add_argument(
        "--rank", type=int, metavar="R", help="number of this node (default: SLURM_PROCID; without it, 0 on HOST only)"
    )
    parser.add_argument(
        "--patience", type=float, default=600.0, metavar="SECONDS", help="for the other nodes to come (default: 600)"
    )
    parser.add_argument("--stop-file", type=Path, metavar="FILE", help="made on the head when SIGURG comes")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    options = parser.parse_args(arguments)
    gpus.name_once()
    if options.rank is None:
        options.rank = int(os.environ.get("SLURM_PROCID", options.head != socket.gethostname()))
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.rank == 0 and options.stop_file:  # for both processes of ``guarded``; those that they start ignore it
        signal.signal(signal.SIGURG, lambda number, frame: stops.ask(options.stop_file, TIME_LIMIT))
    leave = partial(_invitation(options).unlink, missing_ok=True) if options.rank == 0 else lambda: None
    return guard.guarded(partial(_run, options), "fofg-ray-", leave)


def environment() -> dict[str, str]:
    """Settings of a Ray of one's own: quiet, quick to end, and closed to all who lack its token, another one with each call."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_memory_monitor_refresh_ms": "0",  # it would end our workers for what other jobs of the node take
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        "AUTOSCALER_METRIC_PORT": "0",  # any that is free
    }


def print_nodes(address: str) -> None:
    """Prints the names of the nodes that are alive in a cluster, a line each second, until it is killed."""
    from ray._raylet import GcsClient  # as `ray health-check`; ray.init would start workers for one more job

    client = GcsClient(address=address)
    while True:
        print(*sorted(node.node_name for node in client.get_all_node_info().values() if node.state == 0), flush=True)
        time.sleep(1)


class _Stopped(Exception):
    """A signal asks this node to end."""


class _Node:
    """A node: its Ray, with a temporary folder of its own and its output in ``SHARED/ray-RANK.log``.

    The head tells the others of its Ray by a file in the shared folder, the invitation, as long as it runs.
    """

    def __init__(self, options: argparse.Namespace, folder: Path, stop: threading.Event):
        self.options, self.folder, self.stop = options, folder, stop
        self.name = f"{socket.gethostname()}:{options.rank}"
        self.log = options.folder / f"ray-{options.rank}.log"
        self.log.unlink(missing_ok=True)
        self.ray: subprocess.Popen | None = None
        self.children: list[subprocess.Popen] = []

    def lead(self) -> int:
        """Starts the cluster, waits for the other nodes, runs the command. Returns its exit code."""
        options, own = self.options, environment()
        _check_free(options.port)
        own_address = _address(options.head)
        places = {"port": options.port, "ray-client-server-port": free_port(), "dashboard-port": free_port()}
        places |= {"node-ip-address": own_address} if own_address else {}
        self.start_ray(["--head", "--include-dashboard=false", *_flags(places)], own)
        address = self.wait(self.joined, f"{self.name}: Ray has not started after {_START:.0f} s", _START)
        _publish(_invitation(options), {"address": address, "environment": own})
        own |= {"RAY_ADDRESS": address}
        self.await_nodes(own)
        command = self.start(options.command, own, start_new_session=True)
        for _ in self.ticks():
            if command.poll() is not None:
                break
        return guard.shell_code(command.returncode)

    def await_nodes(self, own: dict[str, str]) -> None:
        """Returns when all nodes have joined. Raises UserError, with the names of those that have, if they have not in time."""
        options, listed, address = self.options, self.folder / "nodes", own["RAY_ADDRESS"]
        with open(listed, "wb") as output:
            code = f"from fofg.runtime.ray_cluster import print_nodes; print_nodes({address!r})"
            probe = self.start([sys.executable, "-c", code], own, stdout=output)
        silent = f"{self.name}: Ray has not told which nodes it has"
        self.wait(lambda: _read(listed) or probe.poll() is not None, silent, _START)
        for _ in self.ticks(options.patience):
            if probe.poll() is not None:
                raise self.failure(silent)
            present = listed.read_text().splitlines()[-1].split()
            if len(present) >= options.nodes:
                guard.end(self.children.pop(), grace=0)
                print(f"Ray at {address}, nodes: {', '.join(present)}", file=sys.stderr, flush=True)
                return
        raise UserError(
            f"{len(present)} of {options.nodes} nodes have joined Ray after {options.patience:.0f} s: {', '.join(present)}; "
            f"what it says on each node: {options.folder}/ray-RANK.log"
        )

    def follow(self) -> int:
        """Joins the cluster as soon as there is an invitation, and stays as long as it stands. Returns 0."""
        options, deadline = self.options, time.monotonic() + self.options.patience
        while not self.joined():
            missing = f"{options.head} has started no Ray that {self.name} can join after {options.patience:.0f} s"
            invitation = self.wait(self.invited, missing, deadline - time.monotonic())
            self.start_ray(_flags({"address": invitation["address"]}), invitation["environment"])
            for _ in self.ticks():
                if self.ray.poll() is not None or self.over(invitation):
                    break
            if self.joined():
                self.wait(partial(self.over, invitation), f"{self.name} has lost the Ray of {options.head}", _LOST)
            guard.end(self.ray, _RAY_GRACE)
        return 0

    def start_ray(self, arguments: list[str], own: dict[str, str]) -> None:
        """Starts this node's Ray in the background, in its folder and on free ports."""
        shared = {"temp-dir": self.folder, "num-gpus": self.options.gpus, "node-name": self.name}
        shared |= {"num-cpus": self.options.cpus} if self.options.cpus else {}
        # By default these have fixed numbers, on which a second node of the same host, or another job's, would be.
        ports = {"dashboard-agent-listen-port": 0, "min-worker-port": 0, "max-worker-port": 0}
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *arguments, *_flags(shared | ports)]
        with open(self.log, "wb") as output:
            self.ray = self.start(command, own, stdout=output, stderr=subprocess.STDOUT)

    def start(self, command: Sequence[str], own: dict[str, str], **how) -> subprocess.Popen:
        """Starts a program that dies with this process. It hears of no other cluster than its own."""
        inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        child = subprocess.Popen(command, env=inherited | own, stdin=subprocess.DEVNULL, preexec_fn=guard.die_with_parent, **how)
        self.children.append(child)
        return child

    def wait(self, found: Callable, otherwise: str, patience: float):
        """What ``found`` gives, as soon as that is true. Raises UserError after some time."""
        for _ in self.ticks(patience):
            if value := found():
                return value
        raise self.failure(otherwise)

    def ticks(self, patience: float = float("inf")) -> Iterator[None]:
        """Some moments of each second. Raises _Stopped after a signal, and UserError on the head if its Ray has ended."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self.stop.is_set():
                raise _Stopped
            if self.options.rank == 0 and self.ray and self.ray.poll() is not None:
                raise self.failure(f"{self.name}: Ray has ended")
            yield
            guard.bury({child.pid for child in self.children})
            self.stop.wait(0.2)

    def joined(self) -> str | None:
        """The cluster's address, which Ray writes down when it has started on this node."""
        return _read(self.folder / "ray_current_cluster")

    def invited(self) -> dict | None:
        text = _read(_invitation(self.options))
        return json.loads(text) if text else None

    def over(self, invitation: dict) -> bool:
        return self.invited() != invitation

    def failure(self, what: str) -> UserError:
        """An error with the end of Ray's own output."""
        lines = (_read(self.log) or "").splitlines()[-15:]
        return UserError("\n".join([f"{what}; Ray's last words, all of them in {self.log}:", *lines] if lines else [what]))


def _run(options: argparse.Namespace, folder: Path, stop: threading.Event) -> int:
    """One node, in a process of its own."""
    node = _Node(options, folder, stop)
    try:
        try:
            return node.lead() if options.rank == 0 else node.follow()
        finally:
            for child in reversed(node.children):
                guard.end(child, _RAY_GRACE if child is node.ray else _COMMAND_GRACE)
    except _Stopped:
        return 128 + signal.SIGTERM
    except UserError as error:  # told last, where those look who see the end of the output only
        print(f"error: {error}", file=sys.stderr)
        return 1


def _invitation(options: argparse.Namespace) -> Path:
    """One that a killed run has left names another port, or a token that is no longer good."""
    return options.folder / f"ray-head-{options.port}.json"


def _publish(path: Path, value: dict) -> None:
    """Writes a file whole, for this user's eyes only."""
    partial_path = path.with_name(f".{path.name}.partial")
    partial_path.unlink(missing_ok=True)
    partial_path.touch(0o600)
    partial_path.write_text(json.dumps(value))
    os.replace(partial_path, path)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _address(host: str) -> str | None:
    """A host's address for other hosts; None to let Ray find it: many a host knows itself as 127.0.0.1 only."""
    try:
        address = socket.gethostbyname(host)
    except OSError:
        return None
    return None if ipaddress.ip_address(address).is_loopback else address


def _check_free(port: int) -> None:
    """Raises UserError if something listens on a port of this host. Ray would say so only after a while, and at length."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise UserError(
                f"--port {port}: can't be had on {socket.gethostname()} ({error.strerror}); start again with another"
            ) from None


def _flags(values: dict) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]


if __name__ == "__main__":
    sys.exit(main())
