"""``fofg plan``: counts worked by hand, and targets with all that they need."""

import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plans import ROOT, configured, costs, of_paper, plan, rows

from fofg import stages
from fofg.errors import UserError
from fofg.plan.estimate import estimate
from fofg.plan.rules import RULES
from fofg.plan.targets import targets

# --- the paper's run, by hand ----------------------------------------------------------------------------------------


def test_stage_1_of_the_paper():
    told = of_paper("stage1_create_train_data")
    assert [(row.stage, row.rule, row.jobs, row.problems) for row in told.problems] == [
        ("stage1_level1/train", "create_problems", 1, 50_000)
    ]
    row = rows(told.rollouts)["Stage 1"]
    assert (row.jobs, row.prompts, row.responses) == (16, (50_000,) * 3, (500_000,) * 3)
    assert row.prompt_tokens == 51_200_000
    assert row.response_tokens == 4_096_000_000
    assert row.expected_tokens == 250_000_000
    assert not told.training
    cost = costs(told.rollouts)["Stage 1"]
    assert cost.hours == pytest.approx((250e6 / 12_000 + 16 * 120) / 3600)
    assert cost.most_hours == pytest.approx((4.096e9 / 12_000 + 16 * 120) / 3600)
    assert cost.wall_hours == pytest.approx(cost.hours / 8)


def test_fine_tuning_of_the_paper():
    """At most every response is an example, of 5,120 tokens at most, read in 2 epochs."""
    row = rows(of_paper("stage1_rft").training)["Stage 1"]
    assert row.examples == (0, 115_000, 500_000)
    assert row.steps == (0, 2 * 898, 2 * 3906)  # verl leaves out what fills no batch of 128
    assert row.tokens == 2 * 500_000 * 5120
    assert row.expected_tokens == 2 * 115_000 * (200 + 500)


def test_several_turns_make_fewer_steps():
    """2,400 of 8,000 responses are kept: 480 conversations of 5 turns, in 15 steps of 32, twice."""
    row = rows(plan("stage1_rft").training)["Stage 1"]
    assert row.steps == (0, 2 * 15, 2 * 250)
    assert (row.tokens, row.expected_tokens) == (2 * 8000 * (256 + 128), 2 * 2400 * (30 + 45))


def test_selection_and_length_bound_the_examples():
    row = rows(plan("stage1_rft", stage1={"rft": {"max_per_problem": 1}, "sft": {"max_length": 50}}).training)["Stage 1"]
    assert row.examples == (0, 2000, 2000)
    assert (row.tokens, row.expected_tokens) == (2 * 2000 * 50,) * 2


def test_iterations_of_the_paper():
    told = of_paper("stage2_rft_train")
    row = rows(told.rollouts)["RFT iterations"]
    assert (row.jobs, row.rounds, row.prompts.most, row.responses.most) == (6 * 3, 6, 48_000, 96_000)
    assert row.response_tokens == 96_000 * 8192
    assert rows(told.training)["RFT iterations"].examples.most == 96_000
    evaluated = rows(told.rollouts)["evaluation, sampled"]
    assert (evaluated.jobs, evaluated.responses.most) == (6, 6 * 2048)


def test_reinforcement_learning_without_dynamic_sampling():
    """24 steps of 32 prompts, no more and no fewer."""
    told = plan("stage2_rl_level1", stage2={"rl": {"filter_groups": False}})
    assert rows(told.rollouts)["RL level1"].prompts == (24 * 32,) * 3
    assert rows(told.training)["RL level1"].examples == (24 * 32 * 8,) * 3


def test_reinforcement_learning_of_the_paper():
    """700 steps of 16 groups of 16 responses, found in 1 to 10 batches of 32 prompts; a validation every 25 steps."""
    told = of_paper("stage2_rl_level2")
    groups, asked = rows(told.rollouts)["RL level2"], rows(told.rollouts)["RL level2, validation"]
    assert groups.prompts == (700 * 16, 700 * 2 * 32, 700 * 320)
    assert groups.responses == (179_200, 716_800, 3_584_000)
    assert groups.response_tokens == 3_584_000 * 8192
    assert asked.responses == (29 * 2048,) * 3
    row = rows(told.training)["RL level2"]
    assert (row.jobs, row.devices, row.steps.most, row.examples.most) == (1, 8, 700, 179_200)
    assert (row.tokens, row.expected_tokens) == (179_200 * 9216, 179_200 * 700)
    hours = costs(told.training)["RL level2"].hours
    assert hours == pytest.approx((179_200 * 700 / 4000 + (120 + 700 * 15) * 8) / 3600)
    assert rows(told.training).keys() == {"Stage 1", "RL level2"}


def test_evaluation_and_pass_at_k_of_the_paper():
    told = rows(of_paper().rollouts)
    for decoding in ("sampled", "greedy"):
        row = told[f"evaluation, {decoding}"]
        assert (row.jobs, row.responses.most, row.response_tokens) == (11, 11 * 2048, 11 * 2048 * 8192)
    assert (told["pass@k"].jobs, told["pass@k"].responses.most) == (3 * 32, 6_144_000)
    assert (told["Stage 1 test"].jobs, told["Stage 1 test"].responses.most) == (4, 4 * 128)


def test_disk_of_the_paper():
    """10 models in bfloat16; three states of float32 weights and two moments beside the one that is trained."""
    told = of_paper()
    parameters = 8_030_261_248
    assert told.model == (parameters, 2 * parameters, "plan.model_parameters")
    assert sum(cost.kept_gb for _, cost in told.training) == pytest.approx(10 * 2 * parameters / 1e9)
    assert told.total().working_gb == pytest.approx(3 * 12 * parameters / 1e9)
    assert told.download_gb == pytest.approx(2 * parameters / 1e9)
    assert costs(told.rollouts)["pass@k"].kept_gb == pytest.approx(6_144_000 * 500 / 1e9)


# --- agreement with the stages' own specs ----------------------------------------------------------------------------


@pytest.mark.parametrize("overlay", sorted(path.name for path in ROOT.glob("config/*.yaml")))
def test_counts_are_those_of_the_specs(overlay):
    config = configured(ROOT / "config" / overlay)
    told = rows(estimate(config, ["all"]).rollouts)
    stage1 = config.datasets["stage1_level1"].train
    shards = [stages.generate_rollouts(config, n, stage1) for n in range(stages.shard_count(config, stage1))]
    assert told["Stage 1"].jobs == len(shards)
    assert told["Stage 1"].prompts.most == sum(spec.rows for spec in shards) == stage1
    asked = [stages.generate_passk_rollouts(config, n) for n in range(told["pass@k"].jobs // len(config.passk.models))]
    assert sum(spec.rows for spec in asked) == config.datasets[config.passk.dataset].test
    assert told["pass@k"].responses.most == len(config.passk.models) * sum(spec.rows * spec.rollouts.samples for spec in asked)
    for curriculum in config.stage2.rl.curricula:
        spec = stages.train_rl(config, curriculum)
        assert told[f"RL {curriculum}"].prompts.least == sum(phase.steps for phase in spec.phases) * spec.rl.prompts_per_step


def test_the_targets_are_those_of_the_workflow():
    text = (ROOT / "Snakefile").read_text()
    named = set(re.findall(r"^rule (\w+):", text, re.MULTILINE))
    made = {name for name in targets(configured()) if not name.startswith("stage2_rl_")}
    assert made == named
    assert "stage2_rl_{curriculum}" in text


# --- targets, files and curricula of one's own -----------------------------------------------------------------------


def test_a_target_has_all_that_it_needs_and_no_more():
    told = plan("stage2_rl_level2")
    assert [row.stage for row in told.problems] == ["stage2_level2/train"]
    assert rows(told.rollouts).keys() == {"Stage 1", "RL level2", "RL level2, validation"}
    assert rows(told.training).keys() == {"Stage 1", "RL level2"}
    assert rows(plan("passk", passk={"models": ["base"]}).rollouts).keys() == {"pass@k"}
    assert rows(plan("analyze_failures").rollouts).keys() & {"evaluation, sampled", "evaluation, greedy"} == {"evaluation, sampled"}
    assert plan("tiny_base").training[0][0].tokens == 3000 * 65_536


def test_several_targets_share_what_they_need():
    both = plan("evaluate", "passk")
    assert both.total().hours < plan("evaluate").total().hours + plan("passk").total().hours
    assert len(rows(both.training)) == len(both.training)


def test_the_last_iteration_is_trained_only_where_its_model_is_asked_for():
    data, model = plan("stage2_rft_create_train_data"), plan("stage2_rft_train")
    assert rows(data.rollouts)["RFT iterations"] == rows(model.rollouts)["RFT iterations"]
    assert (rows(data.training)["RFT iterations"].jobs, rows(model.training)["RFT iterations"].jobs) == (2, 3)


def test_a_checkpoint_of_ones_own_takes_stage_1_out():
    told = plan("stage2_rl_level1", use={"stage1_checkpoint": "mine"})
    assert rows(told.training).keys() == {"RL level1"}
    assert "Stage 1" not in rows(told.rollouts)


def test_examples_of_ones_own_take_roll_outs_out_and_are_counted(tmp_path):
    pq.write_table(pa.table({"row": range(100)}), tmp_path / "train.parquet")
    told = plan("stage2_rl_level1", use={"stage1_rft_data": str(tmp_path)})
    assert "Stage 1" not in rows(told.rollouts)
    row = rows(told.training)["Stage 1"]
    assert (row.examples, row.steps) == ((100,) * 3, (6,) * 3)  # 100 conversations, 32, 32 and 36 a step, 2 epochs
    assert (row.tokens, row.expected_tokens) == (2 * 100 * 1024, 2 * 100 * 5 * (30 + 45))  # of up to 5 turns


def test_problems_of_ones_own_are_counted_and_not_made(tmp_path):
    pq.write_table(pa.table({"row": range(2500)}), tmp_path / "own.parquet")
    told = plan(use={"stage1_problems": str(tmp_path / "own.parquet"), "stage2_rft_problems": str(tmp_path / "own.parquet")})
    assert "stage1_level1/train" not in {row.stage for row in told.problems}
    row = rows(told.rollouts)["Stage 1"]
    assert (row.jobs, row.prompts.most, row.responses.most) == (3, 2500, 10_000)
    made = plan("stage2_rft_create_problems", use={"stage2_rft_problems": "mine.parquet"}).problems
    assert made == []


@pytest.mark.parametrize("key", ["stage1_problems", "stage1_rft_data"])
def test_a_missing_file_of_ones_own_is_named(key):
    with pytest.raises(UserError, match="nowhere"):
        plan("stage1_rft", use={key: "nowhere"})


def test_a_file_without_problems_is_named(tmp_path):
    pq.write_table(pa.table({"row": pa.array([], pa.int64())}), tmp_path / "own.parquet")
    with pytest.raises(UserError, match=r"use.stage1_problems: .*own.parquet has no problems"):
        plan("stage1_rft", use={"stage1_problems": str(tmp_path / "own.parquet")})


def test_a_curriculum_of_ones_own_shows_up():
    phases = [{"steps": 3, "mixture": {"stage2_level1": 1}}, {"steps": 4, "mixture": {"mine": 1, "other.parquet": 2}}]
    changes = {
        "datasets": {"mine": {"stage": 2, "levels": [3, 3], "train": 70, "test": 0}},
        "stage2": {"rl": {"curricula": {"staged": phases}}},
    }
    told = plan("stage2_rl_staged", **changes)
    assert rows(told.training)["RL staged"].steps.most == 7
    assert ("mine/train", 70) in [(row.stage, row.problems) for row in told.problems]
    assert rows(plan("evaluate", **changes).rollouts)["evaluation, greedy"].jobs == 9


def test_without_validation_nothing_is_validated():
    told = plan("stage2_rl_level1", stage2={"rl": {"validation": {"every": 0}}})
    assert "RL level1, validation" not in rows(told.rollouts)


def test_the_drawn_workflow_has_the_rules_of_target_all():
    drawn = set(re.findall(r">(\w+)</text>", (ROOT / "docs/rulegraph.svg").read_text()))
    assert drawn == {"all", *RULES} - {"build_tiny_base"}, "snakemake all --rulegraph dot | dot -Tsvg > docs/rulegraph.svg"
