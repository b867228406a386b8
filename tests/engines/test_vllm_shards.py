"""Shards of rollouts with engine vllm, by the workflow's program: uninterrupted, and killed in the middle."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from fofg.config import Rollouts
from fofg.data.files import read_rows
from fofg.data.schemas import PROBLEMS, ROLLOUTS, ROLLOUTS_METADATA
from fofg.specs import RolloutsSpec

pytestmark = pytest.mark.engines
SCRIPT = Path(__file__).parents[2] / "workflow/scripts/generate_rollouts.py"


def command(tmp_path, model, problems, samples, batch_size=128, **options) -> list[str]:
    rollouts = Rollouts(
        samples=samples, temperature=1.0, top_p=1.0, max_prompt_tokens=256, max_response_tokens=128, long_prompts="error", seed=1
    )
    spec = RolloutsSpec(engine="vllm", dtype="auto", first=0, rows=None, rollouts=rollouts)
    paths = {"--problems": problems, "--model": model, "--output": tmp_path / "out.parquet", "--state": tmp_path / "state"}
    arguments = [str(part) for pair in paths.items() for part in pair]
    speed = ["--batch-size", str(batch_size), "--options", json.dumps({"enforce_eager": True} | options)]
    return [sys.executable, str(SCRIPT), "--spec", spec.text(), *arguments, *speed]


def check(path, problems, samples: int) -> list[dict]:
    """Check that a shard's file is the problems with ``samples`` responses each. Return its rows."""
    assert pq.read_schema(path).names == ROLLOUTS.names
    assert json.loads(pq.read_schema(path).metadata[ROLLOUTS_METADATA])["spec"]["engine"] == "vllm"
    rows = list(read_rows(path, ROLLOUTS))
    assert [{key: row[key] for key in PROBLEMS.names} for row in rows] == list(read_rows(problems, PROBLEMS))
    for row in rows:
        assert len(row["responses"]) == len(row["finish_reasons"]) == len(row["token_counts"]) == samples
        assert set(row["finish_reasons"]) <= {"stop", "length"}
        assert all(0 < count <= 128 for count in row["token_counts"])
    return rows


def test_a_shard_has_one_row_per_problem_and_its_log_is_quiet(tmp_path, tiny_base, level1):
    done = subprocess.run(command(tmp_path, tiny_base, level1, 4), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = check(tmp_path / "out.parquet", level1, 4)
    tokens = sum(sum(row["token_counts"]) for row in rows)
    counts = f"64 problems, 256 samples (0 from an earlier run), {tokens} new tokens, 0 problems skipped: prompt too long"
    assert done.stderr.splitlines()[-1].startswith(counts)
    assert not re.search(r"\b(INFO|Processed prompts|Loading safetensors)\b", done.stdout + done.stderr)
    assert sorted(os.listdir(tmp_path)) == ["out.parquet"]


def test_a_killed_shard_resumes_with_the_remaining_problems(tmp_path, tiny_base, level1):
    """Killed with two workers, it resumes in one process: tensor parallelism is no part of the result."""
    samples = 40
    before = killed(command(tmp_path, tiny_base, level1, samples, samples, tensor_parallel_size=2), tmp_path / "state")
    kept = {row["problem"]: row for path in before for row in read_rows(path)}
    assert 0 < len(kept) < 64
    arguments = command(tmp_path, tiny_base, level1, samples, samples)
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and (tmp_path / "state").exists():
            assert before.items() <= finished(tmp_path / "state").items() or (tmp_path / "out.parquet").exists()
            time.sleep(0.1)
        _, messages = process.communicate()
    assert process.returncode == 0, messages
    resumed, tokens = map(int, re.search(r"\((\d+) from an earlier run\), (\d+) new tokens", messages).groups())
    assert resumed == len(kept) * samples
    rows = check(tmp_path / "out.parquet", level1, samples)
    for number, row in kept.items():
        assert {key: rows[number][key] for key in row if key != "problem"} == {key: row[key] for key in row if key != "problem"}
    assert tokens == sum(sum(row["token_counts"]) for number, row in enumerate(rows) if number not in kept)


def finished(state: Path) -> dict[Path, tuple[int, int]]:
    """Return the state files with inode and time, which show whether one was written again."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in state.glob("*/*.parquet")}


def killed(arguments: list[str], state: Path) -> dict[Path, tuple[int, int]]:
    """Kill a program once problems are saved, and check that its workers exit. Return the state files."""
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        while not finished(state):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert process.returncode == -9
    assert len(workers) >= 2
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    return finished(state)
