"""``fofg plan`` plans the jobs that Snakemake would start from nothing."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from dry_runs import dry_run
from plans import DEFAULT, PAPER, ROOT, configured, jobs

from fofg.plan.targets import targets

GPU_TINY = ROOT / "config/gpu-tiny.yaml"


def check(names: list[str], overlays: list[Path], folder: Path) -> None:
    """The plan has the jobs of a dry run in an empty folder, rule by rule, and what they ask for."""
    empty = folder / "empty.yaml"
    empty.write_text(yaml.safe_dump({"run_dir": str(folder / "run"), "base_model": str(ROOT / "resources/tiny-base")}))
    files = [*overlays, empty]
    status, output = dry_run(ROOT, [*names, "--cores", "2", "--configfile", *map(str, files)])
    assert status == 0, output
    planned = jobs(*names, files=tuple(files))
    assert {rule: row.jobs for rule, row in planned.items()} == started(output, targets(configured(*files)))
    submitted = {rule: row for rule, row in planned.items() if not row.local}
    asked = {rule: (row.memory_mb, row.minutes, row.nodes * row.gpus) for rule, row in submitted.items()}
    assert asked == {rule: found for rule, found in resources(output).items() if rule in submitted}


def started(output: str, whole: dict) -> dict[str, int]:
    """Jobs by rule of a dry run; targets themselves are none."""
    table = output.partition("Job stats:")[2].partition("\ntotal")[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE) if rule not in whole}


def resources(output: str) -> dict[str, tuple[int, int, int]]:
    """Megabytes, minutes and GPUs that the jobs of each rule ask for in a dry run, each time the same."""
    found = {}
    for rule, given in re.findall(r"^(?:local)?rule (\w+):$.*?^    resources: (.*?)$", output, re.MULTILINE | re.DOTALL):
        values = dict(re.findall(r"(\w+)=(\d+)", given))
        found.setdefault(rule, set()).add(tuple(int(values.get(name, 0)) for name in ("mem_mb", "runtime", "gpu")))
    assert all(len(kinds) == 1 for kinds in found.values()), found
    return {rule: kinds.pop() for rule, kinds in found.items()}


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
    check(["all"], [PAPER], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("overlay", [DEFAULT, GPU_TINY], ids=lambda path: path.stem)
def test_everything_of_what_we_ship(tmp_path, overlay):
    check(["all"], [overlay], tmp_path)


@pytest.mark.slow
def test_a_users_own_files_of_every_kind(tmp_path):
    overlay = tmp_path / "use.yaml"
    overlay.write_text(yaml.safe_dump({"use": own_files(tmp_path)}))
    check(["all"], [overlay], tmp_path)


@pytest.mark.slow
def test_problems_of_ones_own_beside_a_curriculum_on_those_that_are_made(tmp_path):
    overlay = tmp_path / "mine.yaml"
    curricula = {"mine": [{"steps": 2, "mixture": {"stage1_level1": 1}}]}
    changes = {"use": {"stage1_problems": own_files(tmp_path)["stage1_problems"]}, "stage2": {"rl": {"curricula": curricula}}}
    overlay.write_text(yaml.safe_dump(changes | {"rollout_engine": {"shard_size": 500}}))
    check(["stage2_rl_mine"], [overlay], tmp_path)


@pytest.mark.slow
def test_no_greedy_responses_no_validation_and_a_curriculum_of_ones_own(tmp_path):
    overlay = tmp_path / "mine.yaml"
    curricula = {"mine": [{"steps": 2, "mixture": {"stage2_level1": 1, "stage2_level2": 1}}]}
    changes = {"evaluation": {"greedy": False}, "stage2": {"rl": {"validation": {"every": 0}, "curricula": curricula}}}
    overlay.write_text(yaml.safe_dump(changes))
    check(["stage2_rl_mine", "evaluate"], [overlay], tmp_path)
