"""Pre-training that is killed and resumed gives the weights of an uninterrupted run."""

import json
import os
import shutil
import signal
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


def wait_for(path: Path, process: subprocess.Popen) -> None:
    while not path.exists():
        assert process.poll() is None, "ended too early"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert start(whole).wait() == 0
    process = start(broken)
    wait_for(broken / "state/checkpoint.pt", process)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (broken / "model").exists()
    assert start(broken).wait() == 0
    expected, weights = (load_file(folder / "model/model.safetensors") for folder in (whole, broken))
    assert all(weights[name].equal(tensor) for name, tensor in expected.items())
    lines = [(folder / "model/metrics.jsonl").read_text() for folder in (whole, broken)]
    assert lines[0] == lines[1]
    assert [json.loads(line)["step"] for line in lines[0].splitlines()] == [20, 40, 60]


@pytest.mark.slow
def test_state_of_another_seed_is_not_resumed(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    process = start(first)
    wait_for(first / "state/checkpoint.pt", process)
    process.kill()
    process.wait()
    shutil.copytree(first / "state", second / "state")
    assert start(first).wait() == 0
    assert not (first / "state").exists()
    assert start(second, seed=2).wait() == 0
    assert not load_file(first / "model/model.safetensors")["model.norm.weight"].equal(
        load_file(second / "model/model.safetensors")["model.norm.weight"]
    )
    assert len((second / "model/metrics.jsonl").read_text().splitlines()) == 3
