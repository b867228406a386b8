"""Specs: what a job depends on, as one canonical JSON string. ``tests/workflow/test_exact_reruns.py`` has every key."""

import json

from configs import configured

from fofg import specs
from fofg.config import canonical
from fofg.specs import RolloutsSpec

OWN_ENGINE = {"name": "mine.engines:Mine", "options": {"beam": 4}}


def shard(config, number: int, problems: int) -> str:
    """Return the spec of a job of Stage-1 rollouts."""
    return canonical(specs.stage1_shard(config, number, problems), **specs.engine(config), rollouts=config.stage1.rollouts, code=1)


def test_specs_are_canonical_json():
    text = shard(configured(problems={"template": "é {code} {input}"}), 0, 10)
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) and text.isascii()
    assert RolloutsSpec.model_validate_json(text).problems.problems.template == "é {code} {input}"


def test_options_of_a_custom_engine_are_part_of_the_spec():
    """They may change results; those of our own engines change speed alone."""
    assert json.loads(shard(configured(rollout_engine=OWN_ENGINE), 0, 10))["options"] == {"beam": 4}
    vllm = configured(rollout_engine={"name": "vllm", "options": {"enforce_eager": True}})
    assert json.loads(shard(vllm, 0, 10))["options"] is None


def test_the_published_sampler_has_fixed_input_lengths():
    one, other = (
        specs.problems(configured(problems={"sampler": "paper", "input_length": length}), "stage1_level1", "train")
        for length in ([3, 6], [4, 5])
    )
    assert one == other and one.problems.input_length == (3, 10)


def test_splits_that_test_the_same_are_told_apart():
    more = {"stage": 2, "levels": [2, 2], "train": 0, "test": 8}
    datasets = {"more": more, "seen": {**more, "functions": "train"}}
    config = configured(datasets=datasets, evaluation={"splits": ["seen", "more", "stage1_level1"]})
    labels = specs.split_names(config, own=False)
    assert labels == ["held-out functions", "seen functions", "held-out functions (more)", "Stage-1 problems"]
    assert specs.split_names(config, own=True)[:3] == ["own problems", "seen functions", "held-out functions"]
