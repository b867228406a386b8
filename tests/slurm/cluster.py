"""A real SLURM cluster on this machine: several nodes of fake GPUs, started by root without systemd, on the loopback interface.

``python tests/slurm/cluster.py up`` and ``down`` keep one for trying things out by hand.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

FOLDER = Path("/tmp/fofg-slurm")
#: Where a job's own programs look for the configuration when their environment has been cleaned.
SYSTEM = Path("/etc/slurm")
NODES, CPUS, MEMORY_MB, GPUS = 2, 4, 8000, 2
PORT = 27817
DAEMONS = ("munged", "slurmctld", "slurmd")

CONFIGURATION = """
ClusterName=fofg
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# A job that is put back starts again only when its old credential has expired.
AuthInfo=socket={folder}/munge/socket,cred_expire=10
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld
SlurmdLogFile={folder}/log/slurmd-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MpiDefault=none
MailProg=/bin/true
# Quick to react: tests wait for it.
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
CompleteWait=0
KillWait=5
MinJobAge=600
ReturnToService=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# More CPUs and memory than the machine may have.
SlurmdParameters=config_overrides
GresTypes=gpu
{nodes}
PartitionName=cpu Nodes=ALL Default=YES MaxTime=60 DefaultTime=10 DefMemPerCPU=500 PriorityTier=1 GraceTime=60
PartitionName=gpu Nodes=ALL MaxTime=60 DefaultTime=10 DefMemPerCPU=500 PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL MaxTime=60 DefaultTime=10 DefMemPerCPU=500 PriorityTier=2 PreemptMode=OFF
"""
NODE = (
    "NodeName=node{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory={memory} Gres=gpu:fake:{gpus}"
)
#: Any device file will do for a fake GPU.
GRES = "AutoDetect=off\nName=gpu Type=fake File=/dev/null\nName=gpu Type=fake File=/dev/zero\n"


class Cluster:
    """The cluster as its users and its administrator see it."""

    def start(self) -> None:
        """Starts the daemons and returns when all nodes are idle. Raises RuntimeError if something is missing or goes wrong."""
        if missing := [name for name in (*DAEMONS, "sbatch", "srun", "munge") if not shutil.which(name)]:
            raise RuntimeError(f"{', '.join(missing)}: not installed; apt-get install slurm-wlm munge")
        if os.geteuid():
            raise RuntimeError("SLURM's daemons run as root here; be root")
        self.stop()
        self._configure()
        munge = FOLDER / "munge"
        places = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        self._run("munged", *(f"--{option}={munge / name}" for option, name in places.items()))
        self._run("slurmctld")
        wait_for(lambda: self._tried("scontrol", "ping"), "slurmctld does not answer")
        for number in range(1, NODES + 1):
            self.start_node(f"node{number}")
        wait_for(lambda: self.states() == ["idle"] * NODES, "the nodes are not idle")

    def start_node(self, name: str) -> None:
        self._run("slurmd", "-N", name)

    def stop(self) -> None:
        """Cancels all jobs, ends the daemons and removes all that ``start`` made."""
        if self._pids("slurmctld*"):
            self._tried("scancel", "--user", "root")
            with suppress(AssertionError):
                wait_for(lambda: not self.queue(), "jobs stay", seconds=20)
        for pattern in ("slurmd-*", "slurmctld*", "munge/*"):
            self._end(self._pids(pattern))
        for name in ("slurm.conf", "gres.conf"):
            if (SYSTEM / name).is_symlink() and os.readlink(SYSTEM / name) == str(FOLDER / name):
                (SYSTEM / name).unlink()
        shutil.rmtree(FOLDER, ignore_errors=True)

    def states(self) -> list[str]:
        """State of each node."""
        return self.ask("sinfo", "--noheader", "--Node", "--partition", "cpu", "--format", "%T").split()

    def queue(self, form: str = "%i") -> list[str]:
        """Jobs that wait or run, a line each in squeue's format."""
        return self.ask("squeue", "--noheader", "--format", form).splitlines()

    def ask(self, *command: str) -> str:
        """What one of SLURM's commands prints. Raises RuntimeError with its error."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def set_down(self, node: str) -> None:
        """As an administrator does, or SLURM when a node does not answer: its jobs are lost or put back into the queue."""
        self.ask("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")

    def set_up(self, node: str) -> None:
        """Back to work; does nothing for a node that has come back by itself."""
        self._tried("scontrol", "update", f"NodeName={node}", "State=RESUME")
        wait_for(lambda: "down" not in " ".join(self.states()), f"{node} stays down")

    def _configure(self) -> None:
        for name in ("munge", "state", "log"):
            (FOLDER / name).mkdir(parents=True)
        FOLDER.chmod(0o755)
        (FOLDER / "munge").chmod(0o711)
        key = FOLDER / "munge/key"
        key.touch(0o600)
        key.write_bytes(os.urandom(1024))
        host = socket.gethostname().partition(".")[0]
        size = {"host": host, "cpus": CPUS, "memory": MEMORY_MB, "gpus": GPUS}
        nodes = "\n".join(NODE.format(number=number, port=PORT + number, **size) for number in range(1, NODES + 1))
        (FOLDER / "slurm.conf").write_text(CONFIGURATION.format(folder=FOLDER, host=host, port=PORT, nodes=nodes))
        (FOLDER / "gres.conf").write_text(GRES)
        SYSTEM.mkdir(exist_ok=True)
        for name in ("slurm.conf", "gres.conf"):
            if (SYSTEM / name).exists() and not (SYSTEM / name).is_symlink():
                raise RuntimeError(f"{SYSTEM / name}: this machine has a SLURM of its own")
            (SYSTEM / name).unlink(missing_ok=True)
            (SYSTEM / name).symlink_to(FOLDER / name)

    def _run(self, *command: str) -> None:
        with open(FOLDER / "log/start", "a") as output:
            if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output).returncode:
                raise RuntimeError(f"{' '.join(command)} failed:\n" + self._told())

    def _told(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in (FOLDER / "log").iterdir())

    def _tried(self, *command: str) -> bool:
        return subprocess.run(command, capture_output=True, timeout=30).returncode == 0

    def _pids(self, pattern: str) -> list[int]:
        """Living daemons, by their files of process numbers."""
        found = []
        for path in FOLDER.glob(f"{pattern}pid"):
            with suppress(OSError, ValueError):
                pid = int(path.read_text())
                if Path(f"/proc/{pid}/comm").read_text().strip() in DAEMONS:
                    found.append(pid)
        return found

    def _end(self, pids: list[int]) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            with suppress(AssertionError):
                wait_for(lambda: not any(map(_is_alive, pids)), "daemons stay", seconds=20)
                return


def wait_for(found: Callable, otherwise: str, seconds: float = 60):
    """What ``found`` gives, as soon as that is true."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, f"{otherwise} after {seconds:.0f} s"
        time.sleep(0.25)
    return value


def _is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


if __name__ == "__main__":
    {"up": Cluster().start, "down": Cluster().stop}[sys.argv[1]]()
