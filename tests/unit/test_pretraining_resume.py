"""Pre-training never resumes from the state of another seed. ``workflow/test_kill_and_resume.py`` kills and resumes it."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import configs
import pytest
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
TEMPLATE = 'Code:\n{code}\nWhat is main_solution({input})? End with {"output": "..."}'


def start(folder: Path, seed: int = 1) -> subprocess.Popen:
    spec = {"code": 1, "template": TEMPLATE, "tiny_base": configs.tiny_base(steps=60, seed=seed).model_dump(mode="json")}
    script = ROOT / "workflow/scripts/build_tiny_base.py"
    command = [sys.executable, script, "--spec", json.dumps(spec), "--workers", "1", "--save-every", "10"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen([*command, "--output", folder / "model", "--state", folder / "state"], env=environment)


@pytest.mark.slow
def test_state_of_another_seed_is_not_resumed(tmp_path):
    killed, whole, other = (tmp_path / name for name in ("killed", "whole", "other"))
    process = start(killed)
    while not (killed / "state/checkpoint.pt").exists():
        assert process.poll() is None, "ended too early"
        time.sleep(0.02)
    process.kill()
    process.wait()
    shutil.copytree(killed / "state", other / "state")
    assert [start(whole, seed=2).wait(), start(other, seed=2).wait()] == [0, 0]
    one, two = (load_file(folder / "model/model.safetensors") for folder in (whole, other))
    assert all(two[name].equal(tensor) for name, tensor in one.items()) and not (other / "state").exists()
    assert (other / "model/metrics.jsonl").read_text() == (whole / "model/metrics.jsonl").read_text()
