"""``fofg plan``: jobs of a dry run with what they take."""

import json
import re
import subprocess
import sys
from collections import Counter
from typing import get_args

import pytest
import rollout_rows
import yaml
from checkouts import snakemake
from configs import COUNTDOWN, PAPER, ROOT, configured

from fofg.__main__ import main
from fofg.config.compute import ModelRule
from fofg.data.files import write_parquet
from fofg.data.schemas import PROBLEMS
from fofg.plan import MAX_STARTS, Job, dry_run, summarize, wall_seconds
from fofg.resources import Estimate


@pytest.fixture
def fofg(monkeypatch, capsys):
    """Run ``fofg plan`` in this process; return its exit status and output."""
    monkeypatch.chdir(ROOT)

    def run(*arguments: str) -> tuple[int | str | None, str]:
        monkeypatch.setattr(sys, "argv", ["fofg", "plan", *arguments])
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code
        return status, capsys.readouterr().out

    return run


@pytest.fixture(scope="module")
def paper(tmp_path_factory) -> dict:
    """The plan of the paper's whole run."""
    done = subprocess.run(
        [sys.executable, "-m", "fofg", "plan", "--json", "--configfile", str(PAPER)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_jobs_of_the_papers_run(paper):
    """11 models: base, Stage 1, 6 iterations, 3 curricula. 7 rounds of rollouts: 8 shards of Stage 1, 2 of each iteration."""
    jobs = {row["rule"]: row["jobs"] for row in paper["rules"]}
    assert (jobs["generate_rollouts"], jobs["generate_iteration_rollouts"]) == (8, 6 * 2)
    assert (jobs["train_sft"], jobs["train_iteration"], jobs["train_rl"]) == (1, 6, 3)
    assert (jobs["generate_held_out_rollouts"], jobs["generate_passk_rollouts"]) == (22, 3 * 16)
    assert jobs["create_problems"] == 6
    assert not {"all", "evaluate", "build_tiny_base"} & jobs.keys()


@pytest.fixture(scope="module")
def transfer() -> list[Job]:
    """The jobs of the paper's transfer to Countdown."""
    return dry_run(["countdown"], [str(PAPER), str(COUNTDOWN)])


def test_jobs_of_the_papers_transfer_to_countdown(transfer):
    """4 models, 3 of them trained on both tasks; 4 samples of 50,000 problems, 32 of 128 on each of three levels."""
    jobs = Counter(job.rule for job in transfer)
    assert (jobs["train_multi_base"], jobs["train_multi_base_rl"], jobs["train_rl"], jobs["train_sft"]) == (1, 2, 1, 1)
    responses = {rule: sum(job.estimate.responses for job in transfer if job.rule == rule) for rule in jobs}
    assert responses["generate_countdown_rollouts"] == 4 * 50_000
    assert (jobs["generate_countdown_test_rollouts"], responses["generate_countdown_test_rollouts"]) == (12, 12 * 128 * 32)
    tokens = {job.rule: job.estimate.tokens for job in transfer if job.rule in ("train_sft", "train_multi_base")}
    assert tokens["train_multi_base"] == pytest.approx(1.4 * tokens["train_sft"])  # 200,000 responses besides 500,000


def test_totals_of_the_papers_run(paper):
    total = paper["total"]
    assert total["responses"] == 500_000 + 96_000 + 3 * (716_800 + 29 * 2048) + 512 + 22 * 2048 + 6_144_000
    for name in ("gpu_hours", "max_gpu_hours", "tokens", "requested_gpu_hours"):
        assert total[name] == pytest.approx(sum(row[name] for row in paper["rules"]))
    (rl,) = [row for row in paper["rules"] if row["rule"] == "train_rl"]
    assert (rl["gpus"], rl["mem_mb"], rl["minutes"], rl["starts"]) == (8, 156_200, 1440, 1)
    assert rl["requested_gpu_hours"] == pytest.approx(3 * 8 * 1440 / 60)
    assert total["gpu_hours"] / 8 < total["wall_hours"] < total["gpu_hours"]
    assert total["state_gb"] == pytest.approx(3 * 12 * 8.03, rel=0.01)
    assert paper["assumptions"]["rollout_tokens_per_second"] == 13_000


def test_the_arms_of_stage_2_stand_side_by_side(paper):
    """RFT samples 6 chunks; RL trains on 16 groups of 16 per step. Together they are the tokens and responses of the rules."""
    rft, *rl = paper["arms"]
    rows = {row["rule"]: row for row in paper["rules"]}
    assert (rft["model"], rft["rollouts"]) == ("stage2-rft", rows["generate_iteration_rollouts"]["responses"])
    assert rft["tokens"] == pytest.approx(rows["train_iteration"]["tokens"], rel=1e-3)
    settings = configured(PAPER)
    limits, steps = settings.stage2.rl, [sum(phase.steps for phase in phases) for phases in settings.stage2.rl.curricula.values()]
    assert [arm["responses"] for arm in rl] == [number * limits.prompts_per_step * limits.rollouts.samples for number in steps]
    assert sum(arm["rollouts"] for arm in rl) < rows["train_rl"]["responses"]  # which has validations, too


def test_starting_is_a_small_part_of_the_papers_rollouts(paper):
    """98 s of a job; less than 5% of all rollouts and of each full shard (evaluations are small jobs)."""
    rows = {row["rule"]: row for row in paper["rules"] if row["rule"].startswith("generate_")}
    hours, jobs = (sum(row[name] for row in rows.values()) for name in ("gpu_hours", "jobs"))
    assert 98 * jobs < 0.05 * 3600 * hours
    assert all(0.05 * 60 * rows[rule]["expected_minutes"] > 98 for rule in ("generate_rollouts", "generate_passk_rollouts"))


def test_the_default_run_is_estimated_near_its_measured_time(fofg):
    """17 minutes for everything on two cores (README)."""
    status, out = fofg("--json")
    assert status == 0
    assert 17 / 1.5 < 60 * json.loads(out)["total"]["gpu_hours"] < 17 * 1.5


def test_the_table_has_a_row_per_rule_and_no_gpu_columns_without_gpus(fofg):
    status, out = fofg("stage1_rft")
    assert status == 0
    assert re.search(r"^generate_rollouts +2 +8,000 ", out, re.MULTILINE)
    assert "machine h" in out and "GPU" not in out


def test_own_files_replace_jobs_and_their_rows_are_counted(fofg, tmp_path):
    write_parquet(tmp_path / "own.parquet", PROBLEMS, [[rollout_rows.problem(index) for index in range(2500)]])
    curricula = {"mine": [{"steps": 2, "mixture": {"stage1_level1": 1}}]}
    use = {"stage1_problems": str(tmp_path / "own.parquet")}
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(yaml.safe_dump({"use": use, "stage2": {"rl": {"curricula": curricula}}, "run_dir": str(tmp_path / "run")}))
    jobs = dry_run(["stage2_rl_mine"], [str(overlay)])
    rounds = [job for job in jobs if job.rule == "generate_rollouts"]
    assert sorted(job.estimate.responses for job in rounds) == [2000, 4000, 4000]


def test_cluster_resources_override_the_estimate():
    resources = {"train_rl": {"mem_mb": 200000}, "train_sft": {"runtime": 2880}}
    jobs = {job.rule: job.estimate for job in dry_run(["stage2_rl_level1"], [str(PAPER)], {"cluster": {"resources": resources}})}
    assert (jobs["train_rl"].mem_mb, jobs["train_rl"].runtime) == (200_000, 1440)
    assert (jobs["train_sft"].mem_mb, jobs["train_sft"].runtime) == (156_200, 2880)


def test_only_stale_jobs_are_planned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = snakemake("stage1_create_problems", "-s", str(ROOT / "Snakefile"), "--cores", "1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert dry_run(["stage1_create_problems"], stale=True) == []
    assert len(dry_run(["stage1_create_problems"])) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evalute"], "error: evalute: no such target; "),
        (["all", "--config", "nonsense"], "error: --config: 'nonsense' is not KEY=VALUE"),
        (["all", "--configfile", "nowhere.yaml"], "error: nowhere.yaml: No such file"),
        (["stage1_rft", "--gpus", "4"], "error: --gpus: no job requests a GPU"),
        (["stage1_rft", "--gpus", "4", "--configfile", str(PAPER)], "error: --gpus: 4, but train_sft requests 8"),
        (["stage1_rft", "--config", "use={stage1_problems: nowhere}"], "nowhere"),
    ],
)
def test_mistakes_are_errors(fofg, arguments, message):
    status, out = fofg(*arguments)
    assert message in str(status)
    assert out == ""


# --- schedule and limits ---------------------------------------------------------------------------------------------


def job(name: str, seconds: int, *inputs: str, gpus: int = 1, runtime: int = 60) -> Job:
    estimate = Estimate(1000, runtime, 0, 0, 0, seconds, seconds * gpus, 0, 0)
    return Job("train_rl", list(inputs), [name], gpus, estimate)


def test_jobs_wait_for_inputs_and_free_gpus():
    config = configured(PAPER)
    jobs = [job("a", 10), job("b", 10), job("c", 10), job("d", 5, "a", "b", gpus=2)]
    assert [wall_seconds(config, jobs, gpus) for gpus in (2, 3)] == [25, 15]


def test_a_job_with_a_short_limit_needs_several_starts():
    """5.16 hours of work; each start has an hour, minus 900 s to save and 98 s to start: 43 minutes of work."""
    config = configured(PAPER)
    assert summarize(config, "train_rl", [job("a", 18_580)])["starts"] == 8
    assert summarize(config, "train_rl", [job("a", 18_580, runtime=310 + 15)])["starts"] == 1


def test_starts_are_those_of_the_profile():
    (retries,) = re.findall(r"^retries: (\d+)$", (ROOT / "profiles/slurm/config.yaml").read_text(), re.MULTILINE)
    assert int(retries) + 1 == MAX_STARTS


# --- names that stand in more than one place -------------------------------------------------------------------------


def test_configuration_and_profile_name_the_rules_that_run_a_model(paper, transfer):
    profile = (ROOT / "profiles/slurm/config.yaml").read_text()
    (listed,) = re.findall(r"^  gpu_rules:\n((?:    - \w+\n)+)", profile, re.MULTILINE)
    names = {line.strip(" -") for line in listed.splitlines()}
    assert {row["rule"] for row in paper["rules"] if row["tokens"]} | {job.rule for job in transfer if job.estimate.tokens} == names
    assert set(get_args(ModelRule)) < names


def test_the_drawn_workflow_is_the_graph():
    drawn = set(re.findall(r">(\w+)</text>", (ROOT / "docs/rulegraph.svg").read_text()))
    rules = {job.rule for job in dry_run([])}
    assert rules <= drawn, "fofg graph | dot -Tsvg > docs/rulegraph.svg"
    assert not {name for name in drawn - rules if "_" in name}
