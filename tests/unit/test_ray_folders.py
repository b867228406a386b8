"""What private Ray clusters have in their temporary folders (the clusters themselves: tests/engines)."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fofg.runtime import ray_cluster

NODE = "import time; from fofg.runtime import ray_cluster; print(ray_cluster.make_folder(), flush=True); time.sleep(1000)"


@pytest.fixture
def node():
    """Start a process that has made a node's folder. Return it and the folder, with a file of Ray's in it."""
    process = subprocess.Popen([sys.executable, "-c", NODE], stdout=subprocess.PIPE, text=True)
    folder = Path(process.stdout.readline().strip())
    (folder / "ray/session").mkdir(parents=True)
    (folder / "ray/session/log").write_text("")
    yield process, folder
    process.kill()
    process.wait()
    ray_cluster.remove_left_folders()


def test_a_folder_is_removed_once_its_process_has_been_killed(node):
    process, folder = node
    ray_cluster.remove_left_folders()
    assert (folder / "ray/session/log").exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    ray_cluster.remove_left_folders()
    assert not folder.exists()


def test_a_folder_that_cannot_be_removed_yet_is_found_again(node, monkeypatch):
    """While a process of Ray still writes there."""
    process, folder = node
    process.kill()
    process.wait()
    remove = ray_cluster.shutil.rmtree
    with monkeypatch.context() as patch:
        patch.setattr(ray_cluster.shutil, "rmtree", lambda path, **how: path.name == "ray" or remove(path, **how))
        ray_cluster.remove_left_folders()
    assert sorted(path.name for path in folder.iterdir()) == ["in-use.lock", "ray"]
    ray_cluster.remove_left_folders()
    assert not folder.exists()


def test_ray_has_started_when_its_address_is_written_not_when_the_file_is_there(tmp_path):
    assert not ray_cluster.read_address(tmp_path)
    with open(tmp_path / "ray_current_cluster", "w") as file:
        assert not ray_cluster.read_address(tmp_path)
        file.write("10.0.0.1:6379")
    assert ray_cluster.read_address(tmp_path) == "10.0.0.1:6379"


def test_a_folder_without_a_lock_file_is_left_alone():
    """A folder has the lock file's name: of another program, or hostile."""
    folder = Path("/tmp") / f"fofg-ray-strange-{os.getpid()}"
    (folder / "in-use.lock").mkdir(parents=True)
    try:
        ray_cluster.remove_left_folders()
        assert folder.exists()
    finally:
        (folder / "in-use.lock").rmdir()
        folder.rmdir()
