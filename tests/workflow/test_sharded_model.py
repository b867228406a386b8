"""A base model in shards: all trained models are in shards, are read by the next stages, and change what depends on them."""

from pathlib import Path

import pytest
from checkouts import ROOT, Checkout

from fofg.models import model_files, weights

pytestmark = pytest.mark.slow

MODELS = "checkpoints/string-task"
LAST = f"{MODELS}/stage2-rft/{model_files.INDEX}"


def overlay(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_models_trained_from_shards_are_in_shards_and_replace_one_another(checkout: Checkout, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    model_files.copy_settings(ROOT / "resources/tiny-base", base)
    weights.save(weights.load(ROOT / "resources/tiny-base", "auto"), base, shards=3)
    sharded = overlay(tmp_path, "base.yaml", f"{{base_model: {base}, stage2: {{rft: {{num_iterations: 1}}}}}}")
    checkout.run(LAST, overlays=[sharded])
    for model in ("stage1-rft", "stage2-rft-iter0", "stage2-rft"):
        folder = checkout.folder / MODELS / model
        assert len(model_files.used_weights(folder)) >= 3 and not (folder / "model.safetensors").exists()
        assert all(path.exists() for path in model_files.weight_files(folder))
    assert checkout.stale([sharded], targets=[LAST]) == {}
    longer = overlay(tmp_path, "longer.yaml", "stage1: {sft: {epochs: 11}}")
    checkout.run(f"{MODELS}/stage1-rft/{model_files.INDEX}", overlays=[sharded, longer])
    stale = checkout.stale([sharded, longer], targets=[LAST])
    assert {"generate_iteration_rollouts", "train_iteration", "link_iteration_model"} <= stale.keys()
    assert "train_sft" not in stale
