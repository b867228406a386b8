"""What jobs ask of a cluster."""

from pathlib import Path

import pytest

from fofg.config import load, read
from fofg.plan.needs import needs

CONFIG = Path(__file__).parents[2] / "config"


def asked(*overlays, **changes):
    values = read([CONFIG / "default.yaml", *(CONFIG / name for name in overlays)])
    for key, value in changes.items():
        *parents, name = key.split("__")
        section = values
        for parent in parents:
            section = section[parent]
        section[name] = value
    return needs(load(values))


def test_every_rule_that_runs_a_model_is_there():
    rollouts = {f"generate_{name}rollouts" for name in ("", "stage1_test_", "held_out_", "passk_")}
    assert set(asked()) == {"train_sft", "train_rl"} | rollouts


def test_memory_by_hand():
    """8,030,261,248 parameters: 24,000 MB and 18 bytes each for verl, 12,000 MB and 3 bytes each for vLLM, to the next 100 MB."""
    paper = asked("paper.yaml")
    assert (paper["train_sft"].memory, paper["train_rl"].memory, paper["generate_rollouts"].memory) == (168_600, 168_600, 36_100)
    assert asked("paper.yaml", training__nodes=2)["train_rl"].memory == 96_300
    assert asked()["train_rl"].memory == 4_100


def test_the_reference_model_of_a_kl_penalty_by_hand():
    """22 bytes per parameter in place of 18, for reinforcement learning alone."""
    paper = asked("paper.yaml", stage2__rl__kl_coef=0.001)
    assert (paper["train_sft"].memory, paper["train_rl"].memory) == (168_600, 200_700)


def test_minutes_by_hand():
    """Three times 8.30 + 0.69 GPU hours of rollouts and 32.3 of updates, which `fofg plan` says, on 8 GPUs; 900 s to save."""
    assert asked("paper.yaml")["train_rl"].minutes == pytest.approx(3 * 60 * (8.30 + 0.69 + 32.3) / 8 + 15, rel=0.01)
    assert asked()["train_rl"].minutes == 30


def test_no_job_asks_for_more_time_than_a_cluster_gives():
    short = asked("paper.yaml", cluster__most_minutes=100)
    assert short["train_rl"].minutes == short["train_sft"].minutes == 100
    assert asked()["generate_rollouts"].minutes == 30


@pytest.mark.parametrize("key", ["plan__mean_response_tokens", "passk__rollouts__samples", "passk__shard_size"])
def test_more_work_asks_for_more_time(key):
    overlay = {"plan__mean_response_tokens": 4000, "passk__rollouts__samples": 8000, "passk__shard_size": 256}
    assert asked("paper.yaml", **{key: overlay[key]})["generate_passk_rollouts"].minutes > 40
