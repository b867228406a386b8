"""Dynamic sampling in verl, with its own trainer, queue, rollout and reward workers, on scripted responses (scripted_client)."""

import json
import math
from functools import partial
from pathlib import Path

import pytest
import torch
import transfer_queue as tq
from scripted_client import spelled
from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size
from verl.trainer.ppo.v1.utils import MetricsAggregator
from verl.utils.tracking import Tracking
from verl_run import LIMIT, MIXED, SAME, SAMPLES, problem

from fofg.config import Scoring
from fofg.data.reading import problem_rows
from fofg.data.schemas import STEP_ROLLOUTS
from fofg.rollouts.decoding import token_ids
from fofg.tasks.rewards import compute_scores
from fofg.training import kept
from fofg.training.curricula import phase_of
from fofg.training.groups import advantages
from fofg.training.verl import records
from fofg.training.verl.protocol import DRAWN, ERROR

pytestmark = pytest.mark.engines


def chosen(batch):
    """Return the problems of a batch's groups in order, and check that each has all its samples."""
    found = list(tq.kv_batch_get(keys=batch.keys, partition_id="train", select_fields=["index"])["index"])
    groups = sorted(dict.fromkeys(found))
    assert sorted(found) == sorted(groups * SAMPLES)
    return groups


def counts(metrics):
    return {name: metrics[f"fofg/{name}"] for name in ("groups", "groups_kept", "generation_batches", "limit_reached")}


#: Problems, arguments of ``Run.load``, numbers of further prompts requested, groups of the step, and counts: groups, groups kept,
#: batches, whether the limit was reached.
DRAWS = {
    "the first batch is topped up": ([MIXED, SAME, SAME, SAME, MIXED, MIXED], (2, 5, 3), {}, [3], [0, 4], (5, 2, 1, 0)),
    "it samples until enough groups have different rewards": (
        *([SAME, MIXED, SAME, SAME, (1, "WWWN"), SAME, MIXED, MIXED], (2, 2, 9), {}),
        *([2, 2], [1, 4], (6, 2, 3, 0)),
    ),
    # The trainer first requests all prompts of a step, which is as many batches as a full step takes at least.
    "a first request of all prompts counts as several batches": (
        *([MIXED, SAME, MIXED, MIXED, SAME, MIXED, MIXED, MIXED], (4, 3, 3), {}),
        *([2], [0, 2, 3, 5], (6, 4, 2, 0)),
    ),
    "at the batch limit it trains on fewer groups": (
        *([SAME, SAME, MIXED, SAME, SAME, SAME, MIXED], (2, 2, 3), {}),
        *([2, 2], [2], (6, 1, 3, 1)),
    ),
    "without filter_groups one batch is kept whole": (
        *([SAME, MIXED, SAME, (1, "WWWW"), MIXED], (3, 2, 5), {"filter_groups": False, "on_incomplete_step": "error"}),
        *([], [0, 1, 2], (3, 3, 1, 0)),
    ),
}


@pytest.mark.parametrize("case", DRAWS)
def test_groups_of_a_step(run, case):
    problems, (wanted, generation, most), more, refills, groups, expected = DRAWS[case]
    run.load(problems, wanted=wanted, generation=generation, most=most, **more)
    batch, metrics = run.step()
    assert run.refills == refills and chosen(batch) == groups
    assert tuple(counts(metrics).values()) == expected
    assert not (run.folder / ERROR).exists()


@pytest.mark.parametrize(
    ("problems", "on_incomplete_step", "problem", "cures"),
    [
        (
            [SAME, (1, "WWWW"), (2, "NNNC"), SAME, MIXED],
            "train",
            "step 7: rewards differ in none of 4 groups (mean reward 0.25), so there is nothing to train on; ",
            ["max_generation_batches", "generation_prompts", "temperature"],
        ),
        (
            [SAME, SAME, MIXED, SAME],
            "error",
            "step 7: rewards differ in 1 of 4 groups",
            ["fewer than stage2.rl's prompts_per_step (2)", "on_incomplete_step: train"],
        ),
    ],
    ids=["no group", "too few groups"],
)
def test_a_step_that_cannot_be_trained_on_is_an_error(run, problems, on_incomplete_step, problem, cures):
    run.load(problems, wanted=2, generation=2, most=2, on_incomplete_step=on_incomplete_step)
    with pytest.raises(RuntimeError):
        run.step(7)
    message = (run.folder / ERROR).read_text()
    assert message.startswith(problem) and all(cure in message for cure in cures)


def test_unused_groups_leave_the_queue(run):
    run.load([SAME, MIXED, MIXED, MIXED], wanted=2, generation=4, most=1)
    batch, _ = run.step()
    left = tq.kv_list()["train"]
    assert sorted(left) == sorted(batch.keys) and len(left) == 2 * SAMPLES  # no key of a prompt, no third group
    assert all(tag["status"] == "success" and not tag.get("is_prompt") for tag in left.values())
    assert batch.tags == [left[key] for key in batch.keys]
    tq.kv_clear(keys=batch.keys, partition_id="train")  # as the trainer does after its update
    assert tq.kv_list()["train"] == {}


def test_successive_steps_continue_through_the_problems(run):
    run.load([MIXED, SAME, MIXED, MIXED, SAME, MIXED, SAME, SAME, MIXED], wanted=2, generation=3, most=2)
    for number, groups in ((1, [0, 2]), (2, [3, 5]), (3, [0, 8])):  # the third has 8, then the first three again
        batch, metrics = run.step(number)
        assert chosen(batch) == groups
        tq.kv_clear(keys=batch.keys, partition_id="train")
    assert counts(metrics) == {"groups": 6, "groups_kept": 3, "generation_batches": 2, "limit_reached": 0}


def test_prompts_have_the_same_tokens_as_in_the_other_engines(run):
    run.load([MIXED, (2, "EWCR")], wanted=2, generation=2, most=1)
    batch, _ = run.step()
    data = tq.kv_batch_get(keys=batch.keys, partition_id="train", select_fields=["prompts", "responses", "raw_prompt"])
    assert [prompt.tolist() for prompt in data["prompts"]] == token_ids(run.trainer.tokenizer, list(data["raw_prompt"]))
    ends = [(len(response), int(response[-1]) == run.trainer.tokenizer.eos_token_id) for response in data["responses"]]
    assert sorted(ends) == [(16, True)] * 6 + [(LIMIT, False), (LIMIT, True)]


def test_it_trains_on_the_tokens_that_were_sampled(run):
    """Not on those of the response's text, which are fewer."""
    run.load([(1, "SWSW")], wanted=1, generation=1, most=1)
    batch, _ = run.step()
    fields = ["prompts", "responses", "input_ids", "loss_mask"]
    data = tq.kv_batch_get(keys=batch.keys, partition_id="train", select_fields=fields)
    tokenizer = run.trainer.tokenizer
    sampled = [*spelled(tokenizer), tokenizer.eos_token_id]
    assert len(tokenizer(tokenizer.decode(sampled))["input_ids"]) == len(sampled) - 5
    rows = [[value.tolist() for value in row] for row in zip(*(data[name] for name in fields), strict=True)]
    assert [response for _, response, _, _ in rows].count(sampled) == 2
    for prompt, response, ids, mask in rows:
        assert ids == prompt + response and mask == [1] * len(response)


HAND = [(1, "RWRW"), (3, "RRRR"), (2, "WWWN"), (1, "ECNR")]
SCORING = Scoring(scheme="published_code", answer_rule="published")
#: Rewards 2, 4, -1, 0; correct 2, 4, 0, 2; tokens 4 * 16, 4 * 16, 3 * 16 + 2, 2 * 32 + 2 + 16; sixteen responses.
WORKED = {
    "reward": 5 / 16,
    "accuracy": 8 / 16,
    "accuracy_level1": 4 / 8,
    "accuracy_level2": 0.0,
    "accuracy_level3": 1.0,
    "response_length": 260 / 16,
    "truncated": 1 / 16,
    "groups": 4,
    "groups_kept": 3,
    "generation_batches": 1,
    "limit_reached": 0,
}


def test_metrics_cover_all_sampled_responses(run):
    run.load(HAND, wanted=2, generation=4, most=2)
    batch, metrics = run.step(5)
    assert chosen(batch) == [0, 2]
    assert {name.removeprefix("fofg/"): value for name, value in metrics.items()} == pytest.approx(WORKED)
    assert [json.loads(line) for line in (run.folder / DRAWN).read_text().splitlines()] == [{"step": 5, "data": metrics}]


def test_the_first_problems_of_a_step_are_kept_with_all_responses(run, tmp_path):
    run.load(HAND, wanted=2, generation=4, most=2, keep_rollouts=4)
    run.step(5)
    kept.write(Path(run.config.trainer.v1.sampler.sampler_kwargs.kept), tmp_path / "kept.parquet")
    rows = list(problem_rows(tmp_path / "kept.parquet", STEP_ROLLOUTS))
    for index, (row, (level, script)) in enumerate(zip(rows, HAND, strict=True)):
        made = problem(index, level, script)
        assert row["step"] == 5 and {name: row[name] for name in made} == made
    texts = [
        [(row, text, reason == "length") for text, reason in zip(row["responses"], row["finish_reasons"], strict=True)]
        for row in rows
    ]
    scores = [sum(score["score"] for score in compute_scores(each, SCORING)) for each in texts]
    assert scores == [2, 4, -1, 0] and [row["finish_reasons"].count("length") for row in rows] == [0, 0, 0, 1]
    assert sum(count for row in rows for count in row["token_counts"]) == 260


def test_metrics_reach_our_records_through_verls_log(run, tmp_path, monkeypatch):
    run.load(HAND, wanted=2, generation=4, most=2)
    _, metrics = run.step(1)
    gathered = MetricsAggregator()
    gathered.add_step_metrics(metrics, sample_count=2 * SAMPLES)
    trainers = {f"actor/{name}": 0.5 for name in ("lr", "pg_loss", "pg_clipfrac", "entropy")}
    trainers |= {"timing_s/gen": 2.0, "timing_s/step": 3.5, "actor/grad_norm": math.nan}
    monkeypatch.setenv("VERL_FILE_LOGGER_PATH", str(tmp_path / "verl.jsonl"))
    log = Tracking("fofg", "rl", ["file"])
    log.log(gathered.get_aggregated_metrics() | trainers | run.trainer._validate(), step=1)
    log.finish()
    lines = records.Lines(tmp_path / "lines.jsonl", 0, tmp_path / "none")
    lines.add((tmp_path / "verl.jsonl").read_text().rstrip("\n"), 4.0)
    (record,) = records.grpo(lines.steps(), partial(phase_of, lengths=[3]))
    assert record.items() >= {**WORKED, "limit_reached": False, "prompts": 4, "step": 1, "phase": 1, "loss": 0.5}.items()
    assert math.isnan(record["grad_norm"])
    assert record["validation_accuracy_level1"] == 1.0 and record["validation_accuracy_level2"] == 0.0
    assert record["validation_accuracy_level3"] == 1.0 and record["validation_accuracy"] == pytest.approx(2 / 3)


def test_validation_samples_every_problem_once_and_clears_the_queue(run):
    run.load([(1, "RRRR"), (1, "WWWW"), (2, "CCCC"), (2, "EEEE"), (2, "NNNN")], wanted=2, generation=2, most=2)
    found = run.trainer._validate()
    assert found["val-core/string_task/level1/acc/mean@1"] == 1 / 2
    assert found["val-core/string_task/level2/acc/mean@1"] == pytest.approx(1 / 3)
    assert found["val-aux/string_task/level2/truncated/mean@1"] == pytest.approx(1 / 3)
    assert not any(tq.kv_list().values())


@pytest.mark.parametrize("scale", [True, False])
def test_verls_advantages_equal_those_of_engine_torch_also_in_an_incomplete_step(run, scale):
    """verl pads the step with further rows, which must not count."""
    run.load([SAME, (1, "RWNC"), SAME, SAME], wanted=2, generation=2, most=2)
    run.config.algorithm.norm_adv_by_std_in_grpo = scale
    batch, _ = run.step()
    filled = upsample_batch_to_divisible_size(batch, 2 * SAMPLES, run.trainer.tokenizer.eos_token_id)
    assert len(filled.keys) == 2 * SAMPLES and chosen(batch) == [1]
    run.trainer._compute_advantage(filled, {})
    fields = ["advantages", "response_mask", "rm_scores"]
    data = tq.kv_batch_get(keys=filled.keys, partition_id="train", select_fields=fields)
    rewards = torch.stack([scores.sum() for scores in data["rm_scores"]])[:SAMPLES]
    ours = advantages(rewards[None], "group" if scale else "none")[0]
    for row, (made, mask) in enumerate(zip(data["advantages"], data["response_mask"], strict=True)):
        assert made.tolist() == pytest.approx([float(ours[row]) if row < SAMPLES else 0.0] * len(made), rel=1e-3)
        assert mask.sum() == (len(made) if row < SAMPLES else 0)
    run.config.algorithm.norm_adv_by_std_in_grpo = True
