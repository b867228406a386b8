"""GPUs are reserved for processes: all or none of those requested, each alone or shared by as many as agreed to."""

import os
import select
import signal
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import nvidia_smi
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from fofg.errors import UserError
from fofg.runtime import gpus

HOLDING = """
import os, sys
from fofg.runtime import gpus
taken = gpus.claim(int(sys.argv[1]), int(sys.argv[2]), poll_seconds=0.02)
print(",".join(taken), os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""


class Job:
    """A process that claims GPUs and holds them until it exits."""

    def __init__(self, count: int, jobs_per_gpu: int = 1):
        command = [sys.executable, "-c", HOLDING, str(count), str(jobs_per_gpu)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def taken(self) -> list[str]:
        """Return the GPUs that it got, as soon as it has them."""
        names, shown = self._line(self.process.stdout).split()
        assert shown == names, "CUDA_VISIBLE_DEVICES"
        return names.split(",")

    def waits(self) -> bool:
        """Return whether it reports that it waits, before it has anything."""
        ready, _, _ = select.select([self.process.stdout, self.process.stderr], [], [], 60)
        return self.process.stdout not in ready and self._line(self.process.stderr).startswith("waiting for")

    def end(self, how: signal.Signals | None = None) -> None:
        if how:
            self.process.send_signal(how)
        self.process.communicate()
        assert self.process.returncode == -(how or 0)

    @staticmethod
    def _line(stream) -> str:
        ready, _, _ = select.select([stream], [], [], 60)
        assert ready, "no output in a minute"
        return stream.readline()


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a function that gives this machine ``count`` GPUs; its locks are the test's own."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    monkeypatch.setenv("FOFG_GPU_LOCKS", str(tmp_path / "fofg-gpus"))
    path = os.environ["PATH"]
    return lambda count: monkeypatch.setenv("PATH", f"{nvidia_smi.install(tmp_path / 'bin', count)}:{path}")


@pytest.fixture
def start():
    """Return a function that starts jobs; those that are left end with the test."""
    jobs = []

    def started(*arguments) -> Job:
        jobs.append(Job(*arguments))
        return jobs[-1]

    yield started
    for job in jobs:
        job.process.kill()
        job.process.communicate()


@pytest.mark.parametrize("how", [None, signal.SIGTERM, signal.SIGKILL])
def test_two_jobs_hold_different_gpus_and_a_third_waits(machine, start, how):
    machine(2)
    first, second = start(1), start(1)
    held = [*first.taken(), *second.taken()]
    assert sorted(held) == ["0", "1"]
    third = start(1)
    assert third.waits()
    second.end(how)
    assert third.taken() == held[1:]


SHARING = """
import os, sys
from fofg.runtime import gpus
gpus.share()
print(os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("count", [1, 2, 3])
def test_small_jobs_spread_over_the_gpus(machine, count):
    machine(count)
    jobs = [
        subprocess.Popen([sys.executable, "-c", SHARING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    taken = Counter(job.stdout.readline().strip() for job in jobs)
    for job in jobs:
        job.communicate()
    assert taken == ({"None": 6} if count == 1 else {str(gpu): 6 // count for gpu in range(count)})


SHORT = """
import sys, time
from fofg.runtime import gpus
taken = gpus.claim(int(sys.argv[1]), poll_seconds=0.01)
begin = time.monotonic()
time.sleep(0.05)
print(*[f"{name} {begin} {time.monotonic()}" for name in taken], sep="\\n")
"""


def test_many_jobs_at_once_never_meet_on_a_gpu(machine):
    machine(3)
    counts = [1, 2, 3, 2, 1, 2, 2, 1, 2, 3]
    jobs = [subprocess.Popen([sys.executable, "-c", SHORT, str(n)], stdout=subprocess.PIPE, text=True) for n in counts]
    lines = [line.split() for job in jobs for line in job.communicate(timeout=120)[0].splitlines()]
    assert len(lines) == sum(counts)
    for name in "012":
        times = sorted((float(begin), float(end)) for gpu, begin, end in lines if gpu == name)
        assert all(before[1] <= after[0] for before, after in pairwise(times)), name


class Machine(RuleBasedStateMachine):
    """Jobs come and go on three GPUs, alone or two per GPU; ``jobs``: each with its GPUs."""

    def __init__(self):
        super().__init__()
        self.jobs: list[tuple[Job, int, list[str]]] = []

    def room(self, jobs_per_gpu: int) -> dict[str, int]:
        """Return GPU -> jobs on it, of those that a job may join."""
        held = {name: [shared for _, shared, names in self.jobs if name in names] for name in "012"}
        return {name: len(who) for name, who in held.items() if not who or (len(who) < jobs_per_gpu and set(who) == {jobs_per_gpu})}

    @rule(count=st.integers(1, 3), jobs_per_gpu=st.sampled_from([1, 2]))
    def start(self, count, jobs_per_gpu):
        room = self.room(jobs_per_gpu)
        job = Job(count, jobs_per_gpu)
        if len(room) < count:
            assert job.waits()
            job.end(signal.SIGKILL)
            return
        names = job.taken()
        self.jobs.append((job, jobs_per_gpu, names))
        assert len(set(names)) == count
        assert sorted(room[name] for name in names) == sorted(room.values())[:count]

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 5), how=st.sampled_from([None, signal.SIGTERM, signal.SIGKILL]))
    def end(self, which, how):
        self.jobs.pop(which % len(self.jobs))[0].end(how)

    def teardown(self):
        for job, *_ in self.jobs:
            job.end(signal.SIGKILL)


def test_jobs_get_all_or_none_of_the_least_shared_gpus(machine):
    machine(3)
    run_state_machine_as_test(Machine, settings=settings(max_examples=8, stateful_step_count=8, deadline=None))


@pytest.mark.parametrize(
    ("allowed", "names"),
    [
        (None, ["0", "1", "2"]),
        ("2,0", ["2", "0"]),
        (" 1 ", ["1"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("1,7,0", ["1"]),
        ("1,1", ["1"]),
        ("GPU-00000002", ["GPU-00000002"]),
        (f"1,{nvidia_smi.UUID.format(1)}", ["1"]),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(machine, monkeypatch, allowed, names):
    machine(3)
    if allowed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
    assert list(gpus.visible()) == names


def test_a_gpu_is_the_same_by_number_and_by_uuid(machine, start, monkeypatch):
    machine(2)
    assert start(1).taken() == ["0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-00000000,GPU-00000001")
    assert start(1).taken() == ["GPU-00000001"]


def test_parts_of_a_gpu_are_claimed_by_their_own_name(machine, start, monkeypatch):
    machine(1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-GPU-00000000/1/0,MIG-GPU-00000000/2/0")
    assert [start(1).taken(), start(1).taken()] == [["MIG-GPU-00000000/1/0"], ["MIG-GPU-00000000/2/0"]]
    assert start(1).waits()


def test_fewer_gpus_than_requested_is_an_error_at_once(machine, monkeypatch):
    machine(2)
    with pytest.raises(UserError, match=r"^training.gpus: 3 GPUs requested, 2 visible on this machine .*; lower it$"):
        gpus.claim(3, key="training.gpus")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with pytest.raises(UserError, match=r"rollout_engine.gpus: 2 GPUs requested, 1 visible"):
        gpus.claim(2, 4, "rollout_engine.gpus")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"


def test_no_gpus_without_the_driver(machine, monkeypatch, tmp_path):
    machine(0)
    assert gpus.visible() == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpus, "DRIVER_FOLDERS", ())
    for allowed in (None, "0"):
        if allowed:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
        assert gpus.visible() == {}
        with pytest.raises(UserError, match="1 GPUs requested, 0 visible"):
            gpus.claim(1)


def test_gpus_are_numbered_as_by_nvidia_smi(machine, monkeypatch):
    """CUDA numbers the fastest GPU first by default."""
    machine(2)
    program = "import os; from fofg.runtime import gpus; gpus.claim(1); print(os.environ['CUDA_DEVICE_ORDER'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "PCI_BUS_ID\n"
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "FASTEST_FIRST\n"


def test_other_users_can_lock_the_same_files(machine, start, tmp_path):
    machine(1)
    mask = os.umask(0o077)
    try:
        start(1, 2).taken()
    finally:
        os.umask(mask)
    folder = tmp_path / "fofg-gpus"
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o666"}
    assert folder.stat().st_mode & 0o777 == 0o777


@pytest.mark.parametrize(("cuda", "left"), [("0,1", None), (None, "0,1")])
def test_rocm_names_are_hidden_beside_cuda_names(monkeypatch, cuda, left):
    monkeypatch.setenv("ROCR_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if cuda:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", cuda)
    gpus.hide_rocm_names()
    assert os.environ.get("ROCR_VISIBLE_DEVICES") == left
