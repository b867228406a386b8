"""Requirements of engines on the configuration: each error names its keys, and each cure works."""

import pytest
from configs import ROOT, configured, nested

from fofg.config import merge
from fofg.errors import UserError


def problems(overlay, *changes):
    """Return the lines of the error, none if the configuration loads."""
    values = {}
    for change in changes:
        merge(values, nested(change))
    try:
        configured(*([ROOT / "config" / overlay] if overlay else []), **values)
    except UserError as error:
        return [line.strip() for line in str(error).splitlines()[1:]]
    return []


#: Overlay, changes of it, the keys that messages name, changes that fix them.
CASES = {
    "an engine's earlier name": (None, {"stage2.rl.engine": "trl"}, ["stage2.rl.engine"], [{"stage2.rl.engine": "torch"}]),
    "transformers on two GPUs": (
        None,
        {"rollout_engine.gpus": 2, "training.gpus": 1},
        ["rollout_engine.gpus"],
        [{"rollout_engine.gpus": 1}, {"rollout_engine.name": "vllm"}],
    ),
    "rollouts on a GPU of their own, training on the same": (
        None,
        {"rollout_engine.name": "vllm", "rollout_engine.gpus": 1},
        ["training.gpus"],
        [{"training.gpus": 1}, {"rollout_engine.gpus": 0}],
    ),
    "no time for verl to save": (
        "gpu-tiny.yaml",
        {"cluster.grace_period": 30},
        ["cluster.grace_period"],
        [{"cluster.grace_period": 31}],
    ),
    "no time to work before a time limit": (
        None,
        {"cluster.grace_period": 600, "cluster.resources": {"train_rl": {"runtime": 10}}},
        ["cluster.grace_period"],
        [{"cluster.grace_period": 599}, {"cluster.resources": {"train_rl": {"runtime": 11}}}],
    ),
    "torch on two GPUs": (None, {"training.gpus": 2}, ["training.gpus"], [{"training.gpus": 1}]),
    "nodes without GPUs": (None, {"training.nodes": 2}, ["training.nodes"], [{"training.nodes": 1}]),
    "verl without a GPU": (
        "gpu-tiny.yaml",
        {"training.gpus": 0},
        ["stage1.sft.engine", "stage2.rft.sft.engine", "stage2.rl.engine"],
        [
            {"training.gpus": 1},
            {"stage1.sft.engine": "torch", "stage2.rft.sft.engine": "torch", "stage2.rl.engine": "torch", "rollout_engine.gpus": 0},
        ],
    ),
    "a batch that the GPUs of all nodes can't share": (
        "paper.yaml",
        {"training.gpus": 6, "training.nodes": 2, "stage2.rl.mini_batch_prompts": 16, "stage2.rl.rollouts.samples": 12},
        ["stage1.sft.batch_size", "stage2.rft.sft.batch_size"],
        [{"stage1.sft.batch_size": 120, "stage2.rft.sft.batch_size": 132}, {"training.gpus": 8, "training.nodes": 1}],
    ),
    "an update that the GPUs can't share": (
        "gpu-tiny.yaml",
        {"training.gpus": 16, "stage2.rl.mini_batch_prompts": 2, "stage2.rl.rollouts.samples": 4},
        ["stage2.rl.mini_batch_prompts"],
        [{"stage2.rl.mini_batch_prompts": 4}, {"training.gpus": 8}],
    ),
    "copies of the model that the GPUs can't hold": (
        "paper.yaml",
        {"training.verl.tensor_parallel_size": 3},
        ["training.verl.tensor_parallel_size"],
        [{"training.verl.tensor_parallel_size": 4}],
    ),
    "examples longer than what a GPU takes": (
        "gpu-tiny.yaml",
        {"training.verl.tokens_per_gpu": 1000},
        ["training.verl.tokens_per_gpu", "training.verl.tokens_per_gpu"],
        [{"training.verl.tokens_per_gpu": 1024}, {"stage1.sft.max_length": 1000, "stage2.rft.sft.max_length": 1000}],
    ),
    "responses longer than what a GPU takes": (
        "gpu-tiny.yaml",
        {"training.verl.tokens_per_gpu": 1024, "stage2.rl.rollouts.max_response_tokens": 800},
        ["training.verl.tokens_per_gpu"],
        [{"training.verl.tokens_per_gpu": 1056}, {"stage2.rl.rollouts.max_response_tokens": 768}],
    ),
    "a schedule that verl lacks": (
        "gpu-tiny.yaml",
        {"stage2.rft.sft.schedule": "linear"},
        ["stage2.rft.sft.schedule"],
        [{"stage2.rft.sft.schedule": "cosine"}, {"stage2.rft.sft.schedule": "constant"}, {"stage2.rft.sft.engine": "torch"}],
    ),
    "a precision of fine-tuning that verl lacks": (
        "gpu-tiny.yaml",
        {"stage1.sft.precision": "float32"},
        ["stage1.sft.precision"],
        [{"stage1.sft.precision": "auto"}, {"stage1.sft.precision": "bfloat16"}, {"stage1.sft.engine": "torch"}],
    ),
    "a precision of reinforcement learning that verl lacks": (
        "gpu-tiny.yaml",
        {"stage2.rl.precision": "float32"},
        ["stage2.rl.precision"],
        [{"stage2.rl.precision": "auto"}, {"stage2.rl.engine": "torch"}],
    ),
    "a last batch that verl lacks": (
        "gpu-tiny.yaml",
        {"stage1.sft.last_batch": "merge", "stage2.rft.sft.last_batch": "keep"},
        ["stage1.sft.last_batch", "stage2.rft.sft.last_batch"],
        [
            {"stage1.sft.last_batch": "drop", "stage2.rft.sft.last_batch": "drop"},
            {"stage1.sft.engine": "torch", "stage2.rft.sft.engine": "torch"},
        ],
    ),
    "a mean over the responses of steps that are not full, which verl lacks": (
        "gpu-tiny.yaml",
        {"stage2.rl.loss_agg_mode": "seq-mean-token-mean"},
        ["stage2.rl.on_incomplete_step"],
        [
            {"stage2.rl.on_incomplete_step": "error"},
            {"stage2.rl.loss_agg_mode": "token-mean"},
            {"stage2.rl.engine": "torch"},
            {"stage2.rl.filter_groups": False},
        ],
    ),
    "steps without an update, which verl lacks": (
        "gpu-tiny.yaml",
        {"stage2.rl.on_empty_step": "skip"},
        ["stage2.rl.on_empty_step"],
        [{"stage2.rl.on_empty_step": "error"}, {"stage2.rl.engine": "torch"}],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_an_engine_lacks_is_an_error_with_a_cure(name):
    overlay, change, keys, cures = CASES[name]
    messages = problems(overlay, change)
    assert [message.split(":")[0] for message in messages] == keys
    for cure in cures:
        assert problems(overlay, change, cure) == [], cure


def test_requirements_of_verl_do_not_apply_to_torch():
    change = {"training.verl.tokens_per_gpu": 1, "training.verl.tensor_parallel_size": 3, "stage2.rl.on_empty_step": "skip"}
    for path in ("stage1.sft", "stage2.rft.sft"):
        change |= {f"{path}.schedule": "linear", f"{path}.precision": "float32", f"{path}.batch_size": 7}
    assert problems(None, change, {"stage2.rl.precision": "float32"}) == []
    assert problems(None, change, {"training.gpus": 1}) == []
