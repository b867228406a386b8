"""A task from outside the package runs through Stage 1 and reinforcement learning, and again when its source changes."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

pytestmark = pytest.mark.slow


def test_a_custom_task_runs_stage_1_and_three_rl_steps(checkout, monkeypatch, tmp_path):
    source = Path(shutil.copy(Path(__file__).parents[1] / "toy_task.py", tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)  # for dry runs
    overlay = tmp_path / "even.yaml"
    problems = {"task": "toy_task:Even", "template": "Write an even text about "}
    # The embedded model does not know such prompts and seldom ends its response.
    rules = {"rft": {"keep_truncated": True}}
    overlay.write_text(yaml.safe_dump({"problems": problems, "stage1": rules}))
    targets = ("stage1_rft", "stage2_rl_level1")
    checkout.run(*targets, overlays=[overlay])
    data, models = checkout.folder / "data/string_task/stage1_level1", checkout.folder / "checkpoints/string-task"
    assert set(pq.read_table(data / "rollout.parquet")["data_source"].to_pylist()) == {"even"}
    selection = json.loads((data / "rft_data/selection.json").read_text())
    assert selection["examples"]["train"] > 0 and list(selection["exposure"]) == ["count", "pad"]
    kept = [row["response"] for row in pq.read_table(data / "rft_data/train.parquet").to_pylist()]
    assert all(len(text) % 2 == 0 for text in kept)
    steps = [json.loads(line) for line in (models / "stage2-rl-level1/metrics.jsonl").read_text().splitlines()]
    assert sum("reward" in step for step in steps) == 3
    assert checkout.stale([overlay], targets) == {}
    source.write_text(source.read_text().replace("if len(response) % 2", "if len(response) % 3"))
    stale = checkout.stale([overlay], targets).keys()
    assert {"create_problems", "generate_rollouts", "select_rft_data", "score_rollouts", "train_sft", "train_rl"} <= stale
    assert "prepare_base_model" not in stale
