"""A job that ends, however it does, leaves nothing of the Ray that its trainer started."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.engines
JOB = """
import sys
from pathlib import Path
from fofg.runtime import subprocesses
subprocesses.run([sys.executable, "-c", *sys.argv[2:]], Path(sys.argv[1]), {})
"""
#: As verl's trainer on one node: a Ray in a folder of its own, with an actor at work.
TRAINER = """
import sys, time, ray
from pathlib import Path
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=sys.argv[1])
@ray.remote
class Worker:
    def work(self):
        return True
worker = Worker.remote()
ray.get(worker.work.remote())
Path(sys.argv[1], "ready").touch()
time.sleep(1000)
"""


def of(folder):
    """Processes that name the folder in their arguments."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(folder in part for part in process.info["cmdline"] or ()):
            found.append(process)
    return found


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_nothing_is_left_of_a_jobs_ray(end):
    folder = tempfile.mkdtemp(prefix="fofg-ray-", dir="/tmp")
    environment = os.environ | {"RAY_memory_monitor_refresh_ms": "0"}  # what else runs here is no reason to kill workers
    job = subprocess.Popen([sys.executable, "-c", JOB, f"{folder}/log", TRAINER, folder], env=environment)
    try:
        until = time.monotonic() + 120
        while not Path(folder, "ready").exists():
            assert time.monotonic() < until and job.poll() is None, Path(folder, "log").read_text()
            time.sleep(0.2)
        assert len(of(folder)) > 3  # job, trainer, and Ray's own
        getattr(job, end)()
        until = time.monotonic() + 60
        while of(folder):
            assert time.monotonic() < until
            time.sleep(0.2)
        job.wait()
    finally:
        for process in of(folder):
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)
