"""``fofg plan``: jobs by rule and what they ask of a cluster."""

import json
import re
import sys
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plans import PAPER, ROOT, configured, jobs, plan

from fofg.__main__ import main
from fofg.config.compute import ModelRule
from fofg.plan.jobs import MOST_STARTS
from fofg.plan.needs import needs
from fofg.plan.rules import LOCAL, RULES
from fofg.plan.targets import covered, targets


@pytest.fixture
def told(monkeypatch, capsys):
    """What ``fofg plan`` prints."""
    monkeypatch.chdir(ROOT)

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["fofg", "plan", *arguments])
        main()
        return capsys.readouterr().out

    return run


def of_paper(*names: str, **changes):
    return jobs(*names, files=(PAPER,), **changes)


# --- counts and requests, by hand ------------------------------------------------------------------------------------


def test_the_table_has_every_rule_of_the_workflow():
    text = "".join(path.read_text() for path in ROOT.glob("rules/*.smk"))
    assert set(re.findall(r"^rule (\w+):", text, re.MULTILINE)) == set(RULES)


def test_every_rule_is_used_by_a_target():
    assert {stage.rule for stage in covered(configured(), targets(configured()))} == set(RULES)


def test_jobs_of_the_paper_s_run_by_hand():
    """11 models: base, Stage 1, 6 iterations, 3 curricula. 7 rounds of rollouts: 16 shards of Stage 1, 3 of each iteration."""
    counts = {rule: row.jobs for rule, row in of_paper().items()}
    assert counts["create_problems"] == 6
    assert (counts["generate_rollouts"], counts["gather_rollouts"], counts["select_rft_data"]) == (16 + 6 * 3, 7, 7)
    assert (counts["train_sft"], counts["train_rl"], counts["create_chunk"]) == (7, 3, 6)
    assert (counts["generate_held_out_rollouts"], counts["score_held_out"], counts["classify_failures"]) == (22, 11, 11)
    assert (counts["generate_passk_rollouts"], counts["count_passk"]) == (3 * 32, 3)
    assert (counts["generate_stage1_test_rollouts"], counts["score_rollouts"]) == (4, 4)
    assert "build_tiny_base" not in counts


def test_gpu_hours_are_jobs_times_gpus_times_limit():
    paper = of_paper()
    row = paper["train_rl"]
    assert (row.jobs, row.nodes, row.gpus, row.memory_mb, row.minutes) == (3, 1, 8, 168_600, 945)
    assert row.gpu_hours_requested == 3 * 8 * 945 / 60
    assert paper["generate_held_out_rollouts"].gpu_hours_requested == 22 * 0.5
    assert paper["score_held_out"].gpu_hours_requested == 0


def test_gpus_of_all_nodes_are_asked_for():
    row = of_paper(training={"nodes": 2})["train_sft"]
    assert (row.nodes, row.gpus) == (2, 8)
    assert row.gpu_hours_requested == pytest.approx(7 * 16 * row.minutes / 60)


def test_jobs_that_share_a_gpu_ask_for_one_each():
    """A cluster hands out whole GPUs."""
    assert of_paper(rollout_engine={"jobs_per_gpu": 4})["generate_passk_rollouts"].gpus == 1


def test_own_problems_are_rolled_out_and_those_of_a_curriculum_are_created(tmp_path):
    """2,500 of the user's own to roll out, 1,000 per shard; 2,000 created to practice on."""
    pq.write_table(pa.table({"row": range(2500)}), tmp_path / "own.parquet")
    curricula = {"mine": [{"steps": 2, "mixture": {"stage1_level1": 1}}]}
    own = {"use": {"stage1_problems": str(tmp_path / "own.parquet")}, "stage2": {"rl": {"curricula": curricula}}}
    found = jobs("stage2_rl_mine", **own)
    assert found["generate_rollouts"].jobs == 3
    assert [row.stage for row in plan("stage2_rl_mine", **own).problems][:1] == ["stage1_level1/train"]


@pytest.mark.parametrize("overlay", sorted(path.name for path in ROOT.glob("config/*.yaml")))
def test_jobs_are_those_of_the_other_tables_and_ask_for_what_the_rules_ask(overlay):
    files = (ROOT / "config" / overlay,)
    estimated, found, asked = (
        plan("all", "tiny_base", files=files),
        jobs("all", "tiny_base", files=files),
        needs(configured(*files)),
    )
    counted = {}
    for row in [*estimated.problems, *(row for row, _ in [*estimated.rollouts, *estimated.training])]:
        counted[row.rule] = counted.get(row.rule, 0) + row.jobs
    assert counted == {rule: found[rule].jobs for rule in counted}
    assert set(asked) == {rule for rule, one in RULES.items() if one.model}
    assert asked == {rule: (found[rule].memory_mb, found[rule].minutes, found[rule].gpus, found[rule].nodes) for rule in asked}


def test_a_rule_stands_after_the_rules_that_its_first_job_needs():
    config = configured()
    stages = covered(config, ["all"])
    order = list(jobs())
    first = {stage.rule: stage for stage in reversed(stages)}
    for rule, stage in first.items():
        assert all(order.index(needed.rule) < order.index(rule) for needed in RULES[rule].reads(config, stage))


# --- limits ----------------------------------------------------------------------------------------------------------


def test_a_job_within_its_limit_starts_once():
    assert {row.starts for row in of_paper().values()} == {1}


def test_starts_by_hand():
    """5.16 hours with one start of 120 s; each start has an hour, less 900 s to save and 120 s to start: 43 minutes of work."""
    row = of_paper(cluster={"max_runtime": 60})["train_rl"]
    assert row.minutes == 60
    assert row.expected_minutes == pytest.approx(60 * (8.30 + 0.69 + 32.3) / 8, rel=0.01)
    assert row.starts == -(-(row.expected_minutes - 2) // 43) == 8


def test_a_job_that_would_end_while_it_saves_goes_on_too():
    expected = of_paper()["train_rl"].expected_minutes
    enough = {"max_runtime": int(expected) + 16, "grace_period": 900}
    assert of_paper(cluster=enough)["train_rl"].starts == 1
    assert of_paper(cluster=enough | {"max_runtime": int(expected) + 14})["train_rl"].starts == 2


def test_a_limit_with_no_time_to_work_needs_more_starts_than_any_profile_gives():
    assert of_paper(cluster={"max_runtime": 16, "grace_period": 900})["train_rl"].starts > 1000


def test_starts_are_those_of_the_profile():
    (retries,) = re.findall(r"^retries: (\d+)$", (ROOT / "profiles/slurm/config.yaml").read_text(), re.MULTILINE)
    assert int(retries) + 1 == MOST_STARTS


def test_the_configuration_and_the_profile_name_the_rules_that_run_a_model():
    profile = (ROOT / "profiles/slurm/config.yaml").read_text()
    (listed,) = re.findall(r"^  gpu_rules:\n((?:    - \w+\n)+)", profile, re.MULTILINE)
    running = {name for name, rule in RULES.items() if rule.model}
    assert {line.strip(" -") for line in listed.splitlines()} == set(get_args(ModelRule)) == running


def test_what_the_main_process_runs_is_said_in_the_snakefile():
    listed = re.search(r"^ *localrules:\n((?: +\w+,\n)+)", (ROOT / "Snakefile").read_text(), re.MULTILINE)[1]
    assert {name.strip(" ,") for name in listed.splitlines()} & RULES.keys() == LOCAL


def test_resources_of_single_rules_have_the_last_word():
    found = of_paper(cluster={"resources": {"train_rl": {"mem_mb": 200_000}, "train_sft": {"runtime": 2880}}})
    assert (found["train_rl"].memory_mb, found["train_rl"].minutes) == (200_000, of_paper()["train_rl"].minutes)
    assert (found["train_sft"].memory_mb, found["train_sft"].minutes) == (of_paper()["train_sft"].memory_mb, 2880)


# --- in words --------------------------------------------------------------------------------------------------------


def test_the_paper_s_jobs_in_words(told):
    out = told("--configfile", "config/paper.yaml")
    table = next(part for part in out.split("\n\n") if part.startswith("jobs of a cluster"))
    cells = {line.split("  ")[0].strip(): line.split()[-5:] for line in table.splitlines()}
    assert cells["train_rl"] == ["3", "168.6", "15:45", "8", "378"]
    assert cells["create_problems"] == ["6", "1.0", "0:30", "-", "-"]
    assert not LOCAL & cells.keys() and "score_held_out" not in cells
    found = of_paper().values()
    submitted, hours = sum(row.submissions for row in found), sum(row.gpu_hours_requested for row in found)
    assert re.search(rf"^in all +{submitted} +{hours:,.0f}$", table, re.MULTILINE)
    assert f"run by the main process, seconds each: {sum(row.jobs for row in found if row.local)} jobs" in table
    assert "retr" not in out
    assert max(map(len, out.splitlines())) <= 132


def test_a_job_that_goes_on_is_told_of_and_one_with_too_many_starts_names_the_key(told):
    out = told("--configfile", "config/paper.yaml", "--config", "cluster={max_runtime: 300}")
    assert re.search(r"^train_rl: a job is expected to take 5:10, ends at 4:45 and goes on in 1 retry, each", out, re.MULTILINE)
    out = told("--configfile", "config/paper.yaml", "--config", "cluster={max_runtime: 60}")
    assert re.search(r"^train_rl: .* needs 8 starts, but profiles/slurm gives 4: raise cluster.max_runtime$", out, re.MULTILINE)
    out = told("tiny_base", "--config", "plan={pretraining_tokens_per_second: 100}")
    assert re.search(r"^build_tiny_base: .*: raise --set-resources build_tiny_base:runtime=MINUTES$", out, re.MULTILINE)


def test_without_gpus_there_are_no_columns_for_them(told):
    assert re.search(r"^jobs of a cluster +jobs  GB a node  time limit$", told("stage1_rft"), re.MULTILINE)


def test_json_has_a_row_a_rule(told):
    out = json.loads(told("--configfile", "config/paper.yaml", "--json"))
    found = {row["rule"]: row for row in out["jobs"]}
    assert found["train_rl"] == {
        "rule": "train_rl",
        "jobs": 3,
        "submissions": 3,
        "local": False,
        "nodes": 1,
        "gpus": 8,
        "memory_mb": 168_600,
        "minutes": 945,
        "expected_minutes": pytest.approx(309.7, abs=0.5),
        "starts": 1,
        "gpu_hours_requested": 378.0,
    }
    assert found["plot_passk"]["local"] and found["plot_passk"]["expected_minutes"] is None
    assert out["total"]["submitted_jobs"] == sum(row["submissions"] for row in out["jobs"] if not row["local"])
    assert out["total"]["gpu_hours_requested"] == pytest.approx(sum(row["gpu_hours_requested"] for row in out["jobs"]))
