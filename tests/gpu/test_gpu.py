"""The tiny model through vLLM and verl on a GPU, started by Snakemake, in the GPU environment (`make test-gpu`).

FOFG_GPU_RUN names the folder of the run, so that a second call can continue it; FOFG_GPU_OVERLAY names a further overlay.
"""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from fofg import specs
from fofg.config import load, read
from fofg.data.schemas import VERDICTS
from fofg.evaluation.verdicts import write_verdicts
from fofg.training.verl.runs import last_step

ROOT = Path(__file__).parents[2]
CONFIG = [ROOT / "config/default.yaml", ROOT / "config/gpu-tiny.yaml"]
SHORT = """
stage2:
  rl:
    curricula: {level2: [{steps: 5, mixture: {stage2_level2: 1}}]}
    validation: {every: 2}
training: {rl_save_every: 2}
"""
pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = Path(os.environ.get("FOFG_GPU_RUN") or tmp_path_factory.mktemp("gpu")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "short.yaml").write_text(SHORT)
    return folder


def command(run: Path, *targets: str) -> list[str]:
    overlays = [str(CONFIG[1]), str(run / "short.yaml"), *filter(None, [os.environ.get("FOFG_GPU_OVERLAY")])]
    how = ["--cores", "all", "--scheduler", "greedy", "--configfile", *overlays, "--config", f"run_dir={run}"]
    return [sys.executable, "-m", "snakemake", *targets, *how]


def snakemake(run: Path, *targets: str) -> None:
    done = subprocess.run(command(run, *targets), cwd=ROOT)
    assert done.returncode == 0


def metrics(run: Path, model: str) -> list[dict]:
    return [json.loads(line) for line in (run / f"checkpoints/string-task/{model}/metrics.jsonl").read_text().splitlines()]


def accuracy(run: Path, path: str) -> float:
    correct = pq.read_table(run / path, schema=VERDICTS)["correct"].to_pylist()
    return sum(correct) / len(correct)


def state(run: Path, model: str) -> Path | None:
    """Return the folder of the verl run that trains a model."""
    return next(iter((run / f"checkpoints/string-task/.resume/{model}").glob("*-1")), None)


def steps(folder: Path | None) -> set[int]:
    """Return the steps that verl has logged since it was started last."""
    written = folder and folder / "verl.jsonl"
    return {json.loads(line)["step"] for line in written.read_text().splitlines()} if written and written.exists() else set()


def stop_in_a_step(run: Path, target: str, model: str, log: str, after: int) -> int:
    """Start Snakemake, send SIGURG to all its processes after ``after`` steps, and return the step that verl has saved."""
    first = subprocess.Popen(command(run, target), cwd=ROOT, start_new_session=True)
    while first.poll() is None and len(steps(state(run, model)) - {0}) < after:
        time.sleep(0.2)
    assert first.poll() is None, "it ended before it could be stopped"
    before = last_step(state(run, model))
    for process in psutil.Process(first.pid).children(recursive=True):
        process.send_signal(signal.SIGURG)
    assert first.wait() != 0
    folder = state(run, model)
    saved = last_step(folder)
    assert before < saved == max(steps(folder))
    assert f"stopped before the time limit after step {saved} of" in (run / "logs" / log).read_text()
    return saved


def ray_folders() -> set[Path]:
    return set(Path("/tmp").glob("fofg-ray-*"))


def test_fine_tuning_with_verl_saves_before_its_time_limit(run):
    """The next test resumes from there."""
    assert stop_in_a_step(run, "stage1_rft", "stage1-rft", "train_sft/stage1-rft.log", after=5) >= 6


def test_stage1_with_vllm_and_verl(run):
    """Problems, rollouts by vLLM, RFT data, fine-tuning by verl, evaluation by vLLM."""
    snakemake(run, "stage1_rft")
    records = metrics(run, "stage1-rft")
    assert [record["step"] for record in records] == list(range(1, len(records) + 1))
    assert records[-1]["loss"] < records[0]["loss"] / 2
    before, after = (accuracy(run, f"results/evaluation/{model}/hidden/verdicts.parquet") for model in ("base", "stage1-rft"))
    assert after > before + 0.3


def test_vllm_answers_as_well_as_the_transformers_engine(run, tmp_path):
    """Accuracy on the same prompts, at the same temperature, within sampling error (z < 4 of two proportions)."""
    problems = run / "data/string_task/stage1_level1/test.parquet"
    shares, samples = {}, 8
    for name, options in (("transformers", {}), ("vllm", {"gpu_memory_utilization": 0.3, "enforce_eager": True})):
        settings = load(read([*CONFIG]))
        rollouts = settings.evaluation.rollouts.model_copy(update={"samples": samples})
        shown = {"definitions": True, "template": settings.problems.template}
        spec = specs.RolloutsSpec(engine=name, dtype=settings.rollout_engine.dtype, rollouts=rollouts, **shown)
        made = tmp_path / f"{name}.parquet"
        files = ["--problems", problems, "--model", ROOT / "resources/tiny-base", "--output", made, "--state", tmp_path / name]
        how = ["--batch-size", "512", "--gpus", "1", "--options", json.dumps(options)]
        program = ROOT / "workflow/scripts/generate_rollouts.py"
        subprocess.run([sys.executable, program, "--spec", spec.text(), *files, *how], check=True)
        write_verdicts([made], tmp_path / f"{name}.verdicts.parquet", settings.scoring.answer_rule)
        shares[name] = accuracy(tmp_path, f"{name}.verdicts.parquet")
    answers = samples * pq.read_metadata(problems).num_rows
    pooled = sum(shares.values()) / 2
    print(f"accuracy of {answers} answers each: {shares}")
    assert abs(shares["vllm"] - shares["transformers"]) < 4 * math.sqrt(2 * pooled * (1 - pooled) / answers)


def test_reinforcement_learning_with_verl_saves_before_its_time_limit(run):
    """In step 3, which is not saved otherwise; the next test resumes from there."""
    before = ray_folders()
    assert stop_in_a_step(run, "stage2_rl_level2", "stage2-rl-level2", "train_rl/level2.log", after=2) >= 3
    assert ray_folders() <= before


def test_reinforcement_learning_with_verl_survives_a_kill(run):
    """Killed after a checkpoint, with all processes; the same command resumes, and vLLM loads the model."""
    name, before = "stage2-rl-level2", ray_folders()
    done = last_step(state(run, name)) if state(run, name) else 0
    first = subprocess.Popen(command(run, "stage2_rl_level2"), cwd=ROOT, start_new_session=True)
    while first.poll() is None and not (state(run, name) and last_step(state(run, name)) > done):
        time.sleep(0.5)
    assert first.poll() is None, "it ended before it could be killed"
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    snakemake(run, "stage2_rl_level2")
    records = metrics(run, "stage2-rl-level2")
    assert [record["step"] for record in records] == list(range(6))
    assert all("validation_accuracy" in records[step] for step in (0, 2, 4))
    assert ray_folders() <= before
    snakemake(run, str(run / "results/evaluation/stage2-rl-level2/held-out/sampled/rollouts.parquet"))
