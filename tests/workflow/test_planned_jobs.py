"""``fofg plan`` plans the jobs that Snakemake would start from nothing."""

import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from checkouts import SMALL, snakemake
from plans import PAPER, plan

PLANNED = {
    "create_problems",
    "create_problem_shard",
    "generate_rollouts",
    "generate_stage1_test_rollouts",
    "generate_held_out_rollouts",
    "generate_passk_rollouts",
    "train_sft",
    "train_rl",
    "build_tiny_base",
}


def by_rule(told) -> dict[str, int]:
    """Planned jobs."""
    jobs = Counter()
    for row in [*told.problems, *(row for row, _ in [*told.rollouts, *told.training])]:
        jobs[row.rule] += row.jobs
    return +jobs


def started(targets: list[str], overlays: list[Path], folder: Path) -> dict[str, int]:
    """Jobs of a dry run in an empty folder."""
    empty = folder / "empty.yaml"
    empty.write_text(yaml.safe_dump({"run_dir": str(folder / "run"), "base_model": "resources/tiny-base"}))
    done = snakemake(*targets, "--dry-run", "--cores", "2", "--configfile", *map(str, [*overlays, empty]))
    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout.partition("Job stats:")[2].partition("total")[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE) if rule in PLANNED}


def own_files(folder: Path) -> dict[str, str]:
    """A user's own files in place of all that can be made."""
    (folder / "rft").mkdir()
    (folder / "model").mkdir()
    (folder / "model/config.json").write_text("{}")
    for name in ("problems", "rft/train", "rft/test"):
        pq.write_table(pa.table({"row": range(2500)}), folder / f"{name}.parquet")
    return {
        "stage1_problems": str(folder / "problems.parquet"),
        "stage1_rft_data": str(folder / "rft"),
        "stage1_checkpoint": str(folder / "model"),
        "stage2_rft_problems": str(folder / "problems.parquet"),
    }


def test_everything_of_the_paper_s_run(tmp_path):
    assert by_rule(plan("all", files=(PAPER,))) == started(["all"], [PAPER], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "target",
    [
        "stage1_create_problems",
        "stage1_create_train_data",
        "stage1_rft",
        "stage2_create_problems",
        "stage2_rft_create_problems",
        "stage2_rft_create_train_data",
        "stage2_rft_train",
        "stage2_rl_level1to2",
        "evaluate",
        "passk",
        "analyze_failures",
        "figures",
        "tiny_base",
    ],
)
def test_every_target(tmp_path, target):
    assert by_rule(plan(target, files=(SMALL,))) == started([target], [SMALL], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("keys", [["stage1_problems"], ["stage1_rft_data"], ["stage1_checkpoint"], ["stage2_rft_problems"], []])
@pytest.mark.parametrize("target", ["all", "stage2_rft_train"])
def test_a_users_own_files(tmp_path, target, keys):
    """One kind alone, or all (no key named)."""
    use = {key: path for key, path in own_files(tmp_path).items() if key in keys or not keys}
    overlay = tmp_path / "use.yaml"
    overlay.write_text(yaml.safe_dump({"use": use}))
    assert by_rule(plan(target, files=(overlay,))) == started([target], [overlay], tmp_path)


@pytest.mark.slow
def test_no_greedy_responses_no_validation_and_a_curriculum_of_ones_own(tmp_path):
    overlay = tmp_path / "mine.yaml"
    curricula = {"mine": [{"steps": 2, "mixture": {"stage2_level1": 1, "stage2_level2": 1}}]}
    changes = {"evaluation": {"greedy": False}, "stage2": {"rl": {"validation": {"every": 0}, "curricula": curricula}}}
    overlay.write_text(yaml.safe_dump(changes))
    targets = ["stage2_rl_mine", "evaluate"]
    assert by_rule(plan(*targets, files=(overlay,))) == started(targets, [overlay], tmp_path)
