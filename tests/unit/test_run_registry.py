"""Killed runs leave locks and jobs, which are found; those of active runs are left alone."""

import json
import os
import subprocess
import sys

import pytest

from fofg.errors import UserError
from fofg.runtime import run_registry

RECORDING = """
import sys, time
from fofg.runtime import run_registry
run_registry.record(sys.argv[1], sys.argv[2], sys.argv[3:], "name-of-jobs")
print("registered", flush=True)
time.sleep(60)
"""

REGISTERING = """
import sys
from fofg.runtime import run_registry
for _ in range(500):
    run_registry.record(sys.argv[1], ".", [], "name")
    run_registry.erase(sys.argv[1])
"""


@pytest.fixture
def start(tmp_path):
    """Start a run that holds a lock in the folder."""
    runners = []

    def started(number):
        lock = tmp_path / f"locks/{number}.output.lock"
        lock.parent.mkdir(exist_ok=True)
        lock.touch()
        runner = subprocess.Popen([sys.executable, "-c", RECORDING, str(tmp_path), "runs/mine", str(lock)], stdout=subprocess.PIPE)
        runners.append(runner)
        assert runner.stdout.readline() == b"registered\n"
        return runner, lock

    yield started
    for runner in runners:
        runner.kill()
        runner.wait()


def kill(runner):
    runner.kill()
    runner.wait()


def test_only_the_lock_of_a_dead_run_is_removed(tmp_path, start):
    runner, lock = start(0)
    assert not run_registry.remove_stale_locks(tmp_path), "it still runs"
    assert run_registry.abandoned(tmp_path) == []
    kill(runner)
    assert run_registry.abandoned(tmp_path) == ["name-of-jobs"]
    assert not run_registry.remove_stale_locks(tmp_path) and lock.exists(), "its jobs may still be in the queue"
    assert run_registry.remove_stale_locks(tmp_path, ["name-of-jobs"])
    assert not lock.exists()
    assert not run_registry.remove_stale_locks(tmp_path, ["name-of-jobs"]), "nothing left to remove"


def test_an_active_run_keeps_its_lock(tmp_path, start):
    (killed, first), (_, second) = start(0), start(1)
    kill(killed)
    assert run_registry.remove_stale_locks(tmp_path, ["name-of-jobs"])
    assert not first.exists() and second.exists()


def test_a_run_that_registers_is_never_taken_for_a_killed_one(tmp_path):
    """Others look while it writes its entry."""
    with subprocess.Popen([sys.executable, "-c", REGISTERING, str(tmp_path)], stdout=subprocess.PIPE) as runner:
        while runner.poll() is None:
            assert run_registry.abandoned(tmp_path) == []
    assert runner.returncode == 0


def test_a_lock_that_was_gone_when_its_run_registered_is_not_removed_again_and_again(tmp_path):
    run_registry.record(tmp_path, ".", [tmp_path / "locks/gone.lock"], None)
    (entry,) = (tmp_path / "fofg-runs").glob("*.json")
    entry.with_name("killed.json").write_text(entry.read_text())  # a copy has no lock, as the entry of a killed run
    assert not run_registry.remove_stale_locks(tmp_path)
    run_registry.erase(tmp_path)


def test_a_new_lock_of_the_same_name_belongs_to_another_run(tmp_path, start):
    runner, lock = start(0)
    kill(runner)
    lock.unlink()
    lock.touch()
    os.utime(lock, ns=(1, 1))
    assert not run_registry.remove_stale_locks(tmp_path, ["name-of-jobs"])
    assert lock.exists()


def test_a_lock_of_another_host_stays(tmp_path, start, capsys):
    runner, lock = start(0)
    kill(runner)
    (record,) = (tmp_path / "fofg-runs").iterdir()
    record.write_text(json.dumps(json.loads(record.read_text()) | {"host": "login2"}))
    run_registry.release(tmp_path)
    assert lock.exists()
    assert "login2" in capsys.readouterr().err
    lock.unlink()
    run_registry.check_released(tmp_path, "runs/mine")
    assert run_registry.abandoned(tmp_path) == [], "it may be alive"


def test_a_run_that_ends_leaves_no_entry(tmp_path):
    run_registry.record(tmp_path, ".", [], "name")
    run_registry.erase(tmp_path)
    assert not list((tmp_path / "fofg-runs").iterdir())


def test_an_active_run_whose_lock_is_gone_keeps_its_run_dir(tmp_path, start):
    """Snakemake removes all locks of a folder when one of several runs ends."""
    _, lock = start(0)
    run_registry.check_released(tmp_path, "runs/mine")
    lock.unlink()
    run_registry.check_released(tmp_path, "runs/other")
    with pytest.raises(UserError, match=r"runs the workflow in the same run_dir \(runs/mine\)"):
        run_registry.check_released(tmp_path, "runs/mine")


def test_an_unregistered_lock_is_reported(tmp_path, capsys):
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/0.input.lock").touch()
    run_registry.release(tmp_path)
    assert "snakemake --unlock" in capsys.readouterr().err


def test_unlocking_says_what_it_did_and_what_it_left(tmp_path, start, capsys):
    run_registry.release(tmp_path)
    assert f"no lock in {tmp_path}; nothing to remove" in capsys.readouterr().err
    runner, lock = start(0)
    run_registry.release(tmp_path)
    assert capsys.readouterr().err == f"process {runner.pid} runs the workflow here; its lock stays\n" and lock.exists()
    kill(runner)
    run_registry.forget(tmp_path, ["name-of-jobs"])
    run_registry.release(tmp_path)
    assert capsys.readouterr().err == "removed the lock of a killed run; the same command resumes it\n"


def test_a_torn_entry_is_skipped(tmp_path, start):
    kill(start(0)[0])
    (tmp_path / "fofg-runs/torn.json").write_text("{")
    assert run_registry.remove_stale_locks(tmp_path, ["name-of-jobs"])
