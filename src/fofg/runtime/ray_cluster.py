"""Run one command in a private Ray cluster on the nodes of a job; the cluster ends with the command.

``python -m fofg.runtime.ray_cluster --head HOST --port P --nodes N --gpus G --folder SHARED -- COMMAND ...`` runs once on each
node, started by ``srun``, with ``environment()`` set on all. Rank 0 runs COMMAND when all nodes have joined, and exits with its
code. Ray's own ``ray symmetric-run`` does the same with fixed ports, no token, and a final ``ray stop`` that also ends the Ray of
other jobs on the node. Checked with Ray 2.60.
"""

import argparse
import ipaddress
import math
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from fofg.errors import UserError
from fofg.runtime import gpus, processes
from fofg.runtime.locks import try_lock, was_left
from fofg.runtime.signals import TIME_LIMIT, request_stop
from fofg.runtime.subprocesses import free_port

#: Seconds for the command, then for Ray, to exit on SIGTERM. Together less than a stopped job has.
_COMMAND_GRACE, _RAY_GRACE = 10.0, 5.0
#: Seconds for Ray to start on the head, and to end there when it has ended on another node.
_START_SECONDS, _LOST_SECONDS = 300.0, 30.0
_POLL_SECONDS = 0.2
#: Prefix of a node's temporary folder; in it, the lock file, and Ray's own folder.
_PREFIX, _LOCK, _RAY = "fofg-ray-", "in-use.lock", "ray"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one node of the cluster to its end. Return the exit code: COMMAND's on the head, 0 elsewhere, 1 after an error."""
    options = _parser().parse_args(arguments)
    if options.rank is None:
        options.rank = int(os.environ.get("SLURM_PROCID", options.head != socket.gethostname()))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    if options.rank == 0 and options.stop_file:  # SLURM sends SIGURG to all processes of a step before the time limit
        signal.signal(signal.SIGURG, lambda number, frame: request_stop(options.stop_file, TIME_LIMIT))
    gpus.hide_rocm_names()
    processes.adopt_orphans()
    options.folder.mkdir(parents=True, exist_ok=True)
    remove_left_folders()
    folder = make_folder()
    try:
        return _run_head(options, folder / _RAY) if options.rank == 0 else _run_worker(options, folder / _RAY)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        processes.end_descendants(_RAY_GRACE)
        _remove(folder)


def environment() -> dict[str, str]:
    """Return the environment of a private Ray cluster: quiet, fast to shut down, a fresh token that keeps others out."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_memory_monitor_refresh_ms": "0",  # it would kill our workers because of memory that other jobs use
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        "AUTOSCALER_METRIC_PORT": "0",  # any free port
    }


def make_folder() -> Path:
    """Make a folder for Ray's sockets, logs, and objects that don't fit into memory; this process holds its lock."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))  # short: names of sockets have 107 bytes at most
    try_lock(folder / "new")
    os.rename(folder / "new", folder / _LOCK)  # so that nobody finds it before it is locked
    return folder


def remove_left_folders() -> None:
    """Remove the folders left by this user's nodes that were killed."""
    for lock in Path("/tmp").glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError):  # not a lock file, or removed meanwhile
            if lock.parent.lstat().st_uid == os.getuid() and was_left(lock):
                _remove(lock.parent)


def _remove(folder: Path) -> None:
    """Remove a folder, its lock last: what cannot be removed now, the next node finds by it."""
    shutil.rmtree(folder / _RAY, ignore_errors=True)
    if not (folder / _RAY).exists():
        shutil.rmtree(folder, ignore_errors=True)


def read_address(folder: Path) -> str:
    """Return the address of a node's Ray; empty until it has started, since Ray creates the file before it writes to it."""
    path = folder / "ray_current_cluster"
    return path.read_text() if path.exists() else ""


def await_nodes(address: str, nodes: int, patience: float) -> None:
    """Wait until ``nodes`` nodes of a cluster are alive. If some don't join in time, exit with an error naming those that did."""
    from ray._raylet import GcsClient  # as `ray health-check` does; ray.init would start workers for one more job

    client, deadline = GcsClient(address=address), time.monotonic() + patience
    while True:
        names = sorted(node.node_name for node in client.get_all_node_info().values() if node.state == 0)
        if len(names) >= nodes:
            print(f"Ray at {address}, nodes: {', '.join(names)}", file=sys.stderr)
            return
        if time.monotonic() > deadline:
            sys.exit(f"error: {len(names)} of {nodes} nodes have joined Ray after {patience:.0f} s: {', '.join(names)}")
        time.sleep(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fofg.runtime.ray_cluster", description=__doc__.splitlines()[0])
    parser.add_argument("--head", required=True, metavar="HOST", help="host of rank 0")
    parser.add_argument("--port", required=True, type=int, metavar="P", help="a free port of that host")
    parser.add_argument("--nodes", required=True, type=int, metavar="N")
    parser.add_argument("--gpus", required=True, type=int, metavar="G", help="GPUs per node")
    parser.add_argument("--cpus", type=int, metavar="C", help="CPUs per node as Ray counts them (default: those present)")
    parser.add_argument("--folder", required=True, type=Path, metavar="SHARED", help="folder that all nodes see, for Ray's output")
    parser.add_argument("--rank", type=int, metavar="R", help="number of this node (default: SLURM_PROCID, or 0 on HOST only)")
    parser.add_argument("--patience", type=float, default=600.0, metavar="SECONDS", help="to wait for other nodes (default: 600)")
    parser.add_argument("--stop-file", type=Path, metavar="FILE", help="made on the head when SIGURG comes")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    return parser


def _run_head(options: argparse.Namespace, folder: Path) -> int:
    """Start the cluster, wait for the other nodes, run the command. Return its exit code."""
    if not _is_free(options.port):
        raise UserError(f"--port {options.port}: in use on {socket.gethostname()}; start again with another")
    values = {"port": options.port, "ray-client-server-port": free_port(), "dashboard-port": free_port()}
    if address := _address(options.head):
        values["node-ip-address"] = address
    ray = _start_ray(options, folder, ["--head", "--include-dashboard=false"], values)
    _wait(lambda: read_address(folder), ray, options, f"Ray has not started after {_START_SECONDS:.0f} s", _START_SECONDS)
    os.environ["RAY_ADDRESS"] = address = read_address(folder)
    code = f"from fofg.runtime.ray_cluster import await_nodes; await_nodes({address!r}, {options.nodes}, {options.patience})"
    probe = _start([sys.executable, "-c", code])
    _wait(lambda: probe.poll() is not None, ray, options)
    if probe.returncode:
        raise UserError(f"the cluster is not complete; what Ray says on each node: {options.folder}/ray-RANK.log")
    command = _start(options.command, start_new_session=True)
    try:
        _wait(lambda: command.poll() is not None, ray, options)
    finally:
        if command.poll() is None:
            os.killpg(command.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                command.wait(_COMMAND_GRACE)
    return command.returncode if command.returncode >= 0 else 128 - command.returncode


def _run_worker(options: argparse.Namespace, folder: Path) -> int:
    """Join the head's cluster as soon as it is up, and stay until it has ended. Return 0."""
    ray = None
    missing = f"{options.head} has started no Ray that this node can join after {options.patience:.0f} s"
    _wait(lambda: _is_open(options.head, options.port), ray, options, missing, options.patience)
    ray = _start_ray(options, folder, [], {"address": f"{options.head}:{options.port}"})
    while _is_open(options.head, options.port):
        with suppress(subprocess.TimeoutExpired):
            ray.wait(1)
            time.sleep(_LOST_SECONDS)  # the head's Ray may be ending as well
            if _is_open(options.head, options.port):
                raise _failure(options, "Ray has ended before that of the head")
    return 0


def _start_ray(options: argparse.Namespace, folder: Path, arguments: list[str], values: dict) -> subprocess.Popen:
    """Start this node's Ray in the background, on free ports, its output in ``SHARED/ray-RANK.log``."""
    values |= {"temp-dir": folder, "num-gpus": options.gpus, "node-name": f"{socket.gethostname()}:{options.rank}"}
    values |= {"num-cpus": options.cpus} if options.cpus else {}
    # The defaults are fixed ports, which a second node on the same host, or another job, would use too.
    values |= {"dashboard-agent-listen-port": 0, "min-worker-port": 0, "max-worker-port": 0}
    flags = [f"--{name}={value}" for name, value in values.items()]
    os.environ.pop("RAY_ADDRESS", None)  # of another cluster
    with open(_log(options), "wb") as output:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *arguments, *flags]
        return _start(command, stdout=output, stderr=subprocess.STDOUT)


def _start(command: Sequence[str], **options) -> subprocess.Popen:
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=processes.die_with_parent, **options)


def _wait(
    condition: Callable, ray: subprocess.Popen | None, options: argparse.Namespace, too_late: str = "", patience: float = math.inf
) -> None:
    """Wait until the condition is true. Raises UserError if Ray ends first, or with message ``too_late`` after ``patience``."""
    deadline = time.monotonic() + patience
    while not condition():
        if ray and ray.poll() is not None:
            raise _failure(options, "Ray has ended")
        if time.monotonic() > deadline:
            raise _failure(options, too_late)
        time.sleep(_POLL_SECONDS)


def _failure(options: argparse.Namespace, problem: str) -> UserError:
    """Return an error with the end of Ray's own output on this node."""
    message, log = f"{socket.gethostname()}:{options.rank}: {problem}", _log(options)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:] if log.exists() else []
    return UserError("\n".join([f"{message}; the end of Ray's output, all of it in {log}:", *lines] if lines else [message]))


def _log(options: argparse.Namespace) -> Path:
    return options.folder / f"ray-{options.rank}.log"


def _address(host: str) -> str | None:
    """Return a host's address for other hosts; None to let Ray find it, since some hosts know themselves only as 127.0.0.1."""
    try:
        address = socket.gethostbyname(host)
    except OSError:
        return None
    return None if ipaddress.ip_address(address).is_loopback else address


def _is_free(port: int) -> bool:
    """Return whether a port is free to listen on. Ray would report this only after a while, in a long message."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _is_open(host: str, port: int) -> bool:
    """Return whether something listens on a port of a host."""
    try:
        socket.create_connection((host, port), timeout=30).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
