"""Memory, time and disk of jobs that run a model."""

import json
import math

import numpy as np
import pytest
from configs import PAPER, configured
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from fofg.config import Config
from fofg.errors import UserError
from fofg.resources import Estimate, estimate_rl, estimate_rollouts, estimate_sft, model_size

PARAMETERS = 8_030_261_248


def paper(**changes) -> Config:
    return configured(PAPER, **changes)


def rollouts(config: Config, problems: int = 1000) -> Estimate:
    return estimate_rollouts(config, config.stage1.rollouts, problems)


def sft(config: Config, problems: int = 50_000) -> Estimate:
    return estimate_sft(config, config.stage1.sft, config.stage1.rollouts, config.stage1.rft, problems)


def rl(config: Config, curriculum: str = "level2") -> Estimate:
    return estimate_rl(config, config.stage2.rl.curricula[curriculum])


# --- tokens and time of the paper's run, by hand ---------------------------------------------------------------------


def test_estimate_of_the_papers_rollouts():
    """6,250 problems per shard, 10 samples of 500 expected tokens, 13,000 tokens/s, 98 s to start."""
    job = rollouts(paper(), 6250)
    assert (job.responses, job.tokens, job.max_tokens) == (62_500, 31_250_000, 62_500 * 8192)
    assert job.seconds == job.gpu_seconds == pytest.approx(98 + 31_250_000 / 13_000, abs=1)
    assert job.max_gpu_seconds == pytest.approx(98 + 62_500 * 8192 / 13_000, abs=1)
    assert job.kept_mb == pytest.approx(1.5 * 31.25, abs=1)


def test_estimate_of_the_papers_fine_tuning():
    """23% of 500,000 responses are kept, read twice, 700 tokens with their prompts; at most all of them with 5,120.

    1,798 steps take 2,368 s, in which 35 checkpoints are due: 3% leave no time for one between the first and the last.
    """
    job = sft(paper())
    assert (job.tokens, job.max_tokens) == (2 * 115_000 * 700, 2 * 500_000 * 5120)
    assert job.saves == 2
    assert job.seconds == pytest.approx(98 + 161e6 / 8000 / 8 + 2 * 108 + 66, abs=1)
    assert job.gpu_seconds == pytest.approx(8 * job.seconds, abs=8)


def test_estimate_of_the_papers_reinforcement_learning():
    """700 steps of 16 groups of 16, found in 2 to 10 batches of 32 prompts; 29 validations of 2,048 problems; 37 s a step."""
    job = rl(paper())
    assert job.responses == 700 * 64 * 16 + 29 * 2048
    sampled, trained = 500 * job.responses, 179_200 * 700
    assert job.tokens == sampled + trained
    assert job.max_tokens == (700 * 320 * 16 + 29 * 2048) * 8192 + 179_200 * 9216
    trained_in = 700 * 37 + (sampled / 13_000 + trained / 5600) / 8
    assert job.saves == 1 + 1 + int(0.03 / 0.97 * trained_in / 108)
    assert job.seconds == pytest.approx(98 + trained_in + 108 * job.saves + 66, abs=1)
    assert job.runtime == min(1440, math.ceil((3 * job.seconds + 900) / 60))


def test_checkpoints_take_their_share_of_the_papers_trainings():
    for config in (paper(), paper(training={"gpus": 2}), paper(plan={"sft_tokens_per_second": 1500, "rl_tokens_per_second": 1100})):
        for job in (sft(config), rl(config)):
            assert 108 * (job.saves - 2) <= 0.03 * job.seconds
    assert sft(paper(training={"max_save_share": 1})).saves == 1798 // 50 + 1


def test_reinforcement_learning_without_dynamic_sampling_or_validation():
    config = configured(stage2={"rl": {"filter_groups": False, "validation": {"every": 0}}})
    assert rl(config).responses == 24 * 32 * 8


def test_jobs_that_share_a_gpu_take_longer():
    alone, shared = rollouts(paper()), rollouts(paper(rollout_engine={"jobs_per_gpu": 4}))
    assert shared.seconds - 98 == pytest.approx(4 * (alone.seconds - 98), abs=4)
    assert shared.gpu_seconds - 98 / 4 == pytest.approx(alone.gpu_seconds - 98, abs=1)


@given(st.integers(1, 20), st.integers(1, 300), st.floats(0.01, 1), st.integers(1, 8))
@settings(max_examples=25)
def test_more_work_never_takes_less(samples, tokens, kept, batches):
    def change(samples=samples, tokens=tokens, kept=kept, batches=batches):
        limits = {"samples": samples + 1, "max_response_tokens": tokens}
        rl_section = {"rollouts": limits, "max_generation_batches": batches, "validation": {"every": 0}}
        values = {"stage1": {"rollouts": limits}, "stage2": {"rl": rl_section}}
        return configured(**values, plan={"kept_share": kept, "mean_response_tokens": 45.0})

    base = change()
    for more in (
        change(samples=samples + 3),
        change(tokens=tokens + 5),
        change(kept=min(1, 2 * kept)),
        change(batches=batches + 1),
    ):
        for estimate in (rollouts, sft, rl):
            before, after = estimate(base), estimate(more)
            assert all(low <= high for low, high in zip(before, after))
            assert after.tokens <= after.max_tokens and after.gpu_seconds <= after.max_gpu_seconds


# --- requests --------------------------------------------------------------------------------------------------------


def test_memory_of_8b_parameters():
    """For verl 12,000 MB, 12,000 MB per GPU and 6 bytes each; for vLLM 12,000 MB and 3 bytes each; to the next 100 MB."""
    assert (sft(paper()).mem_mb, rl(paper()).mem_mb, rollouts(paper()).mem_mb) == (156_200, 156_200, 36_100)
    assert rl(paper(training={"nodes": 2})).mem_mb == 132_100
    assert rl(configured()).mem_mb == 4_100


def test_the_request_covers_the_memory_that_was_measured():
    """On H200s, reinforcement learning with 8.03 billion parameters; a guess that doubles would be no estimate."""
    for gpus, offload, measured in ((2, False, 73_000), (2, True, 194_000), (4, False, 98_800)):
        assert measured < rl(paper(training={"gpus": gpus, "verl": {"offload": offload}})).mem_mb < 1.25 * measured


def test_a_kl_penalty_needs_a_reference_model():
    """10 bytes per parameter in place of 6, for reinforcement learning alone."""
    config = paper(stage2={"rl": {"kl_coef": 0.001}})
    assert (sft(config).mem_mb, rl(config).mem_mb) == (156_200, 188_400)


def test_disk_of_8b_parameters():
    """A model in bfloat16; three states of float32 weights and two moments."""
    assert rl(paper()).kept_mb == pytest.approx(2 * PARAMETERS / 1e6, abs=1)
    assert rl(paper()).state_mb == pytest.approx(3 * 12 * PARAMETERS / 1e6, abs=1)


def test_time_limits_are_between_half_an_hour_and_max_runtime():
    assert rl(configured()).runtime == 30
    assert rl(paper(cluster={"max_runtime": 100})).runtime == 100


# --- the model's size ------------------------------------------------------------------------------------------------


def test_parameters_of_shards_are_counted(tmp_path):
    for name, shape in {"one": (3, 5), "two": (7,), "stray": (100,)}.items():
        save_file({name: np.zeros(shape, np.float16)}, tmp_path / f"{name}.safetensors")
    index = {"weight_map": {name: f"{name}.safetensors" for name in ("one", "two")}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert model_size(configured(base_model=str(tmp_path))) == 22


@pytest.mark.parametrize("content", [b"", b"\xff" * 20, (5).to_bytes(8, "little") + b"{not}"])
def test_damaged_weights_are_named(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"model.safetensors: damaged weights"):
        model_size(configured(base_model=str(tmp_path)))
