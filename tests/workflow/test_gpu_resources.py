"""Rollout jobs on a machine with two GPUs: each has one to itself, both are used, and no job gets more than exist."""

import json
import os
from itertools import pairwise

import nvidia_smi
import pytest

pytestmark = pytest.mark.slow

ENGINE = """
import json, os, time
from pathlib import Path
from fofg.rollouts.transformers_engine import TransformersEngine

NOTES = Path(os.environ["NOTES"])


class Noting(TransformersEngine):
    \"\"\"Write down a job's GPUs and its begin and end. The first job waits until the other GPU is in use.\"\"\"

    def __init__(self, *arguments, **keywords):
        self.note = {"gpus": os.environ["CUDA_VISIBLE_DEVICES"], "begin": time.monotonic()}
        super().__init__(*arguments, **keywords)
        self._write()
        while len(list(NOTES.glob("*.json"))) < 2 and time.monotonic() < self.note["begin"] + 120:
            time.sleep(0.1)

    def generate(self, requests):
        yield from super().generate(requests)
        self._write()

    def _write(self):
        self.note["end"] = time.monotonic()
        path = NOTES / str(os.getpid())
        path.write_text(json.dumps(self.note))
        path.replace(path.with_suffix(".json"))
"""
#: Training takes more GPUs than there are, which is no matter to rollouts.
OVERLAY = """
run_dir: runs/gpus
training: {{gpus: 4}}
stage1: {{sft: {{engine: verl, batch_size: 4, last_batch: drop}}}}
stage2: {{rft: {{sft: {{engine: verl, batch_size: 4, last_batch: drop}}}}, rl: {{engine: verl, on_empty_step: error}}}}
rollout_engine: {{name: 'noting:Noting', shard_size: 6, gpus: {gpus}}}
"""
ROLLOUTS = "runs/gpus/data/string_task/stage1_level1/rollouts"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with two GPUs, and an engine that writes down which it has. Return the folder of its notes."""
    monkeypatch.setenv("PATH", f"{nvidia_smi.install(tmp_path / 'bin', 2)}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for variable, folder in {"FOFG_GPU_LOCKS": "locks", "PYTHONPATH": "theirs", "NOTES": "notes"}.items():
        (tmp_path / folder).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / folder))
    (tmp_path / "theirs/noting.py").write_text(ENGINE)
    return tmp_path / "notes"


def overlay(tmp_path, gpus: int):
    path = tmp_path / "gpus.yaml"
    path.write_text(OVERLAY.format(gpus=gpus))
    return path


@pytest.mark.parametrize("options", [(), ("--resources", "gpu=4")], ids=["detected", "more declared than exist"])
def test_no_two_jobs_are_on_one_gpu_and_both_gpus_are_used(checkout, machine, tmp_path, options):
    """Snakemake starts one job per GPU; with more GPUs declared it starts more jobs, which wait for one another."""
    checkout.run("stage1_create_train_data", *options, overlays=[overlay(tmp_path, gpus=1)], cores=4)
    assert (checkout.folder / "runs/gpus/data/string_task/stage1_level1/rft_data/train.parquet").exists()
    notes = [json.loads(path.read_text()) for path in machine.glob("*.json")]
    assert len(notes) == 4
    assert {note["gpus"] for note in notes} == {"0", "1"}
    for gpu in "01":
        times = sorted((note["begin"], note["end"]) for note in notes if note["gpus"] == gpu)
        assert all(before[1] < after[0] for before, after in pairwise(times)), gpu
    logs = [path.read_text() for path in (checkout.folder / "runs/gpus/logs/generate_rollouts").rglob("*.log")]
    assert len(logs) == 4
    assert any("waiting for 1 free of 2 GPUs" in log for log in logs) == bool(options)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ((), "rollout_engine.gpus: 3, but 2 GPUs are visible on this machine"),
        # Snakemake scales the request down to what is declared, so that the job itself finds it.
        (("--resources", "gpu=2"), "error: rollout_engine.gpus: 3 GPUs requested, 2 visible on this machine"),
    ],
    ids=["detected", "declared"],
)
def test_a_request_for_more_gpus_than_the_machine_has_is_an_error(checkout, machine, tmp_path, options, error):
    done = checkout.run(f"{ROLLOUTS}/0.parquet", *options, overlays=[overlay(tmp_path, gpus=3)], check=False)
    assert done.returncode == 1
    assert error in done.stdout + done.stderr
    assert list(machine.iterdir()) == []
