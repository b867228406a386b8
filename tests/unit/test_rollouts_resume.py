"""A killed shard resumes from its own state only."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from test_rollouts_shards import problem, spec, write

from fofg.errors import UserError
from fofg.models.model_files import READ_WHOLE, digest
from fofg.rollouts import shards
from fofg.rollouts.resume import State, fingerprint
from fofg.rollouts.transformers_engine import TransformersEngine

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/generate_rollouts.py"
BATCH_SIZE = 12


@pytest.fixture
def problems(tmp_path):
    return write(tmp_path / "problems.parquet", [problem(index) for index in range(40)])


def command(tmp_path, tiny_model, problems, name, used):
    paths = {"--problems": problems, "--model": tiny_model, "--output": tmp_path / f"{name}.parquet", "--state": tmp_path / name}
    arguments = [str(part) for pair in paths.items() for part in pair]
    return [sys.executable, str(SCRIPT), "--spec", used.text(), *arguments, "--batch-size", str(BATCH_SIZE), "--threads", "1"]


def finished(folder: Path) -> dict[Path, tuple[int, int]]:
    """State files with what shows that they were written again."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("*/*.parquet")}


def wait_for(process: subprocess.Popen, folder: Path, count: int) -> None:
    """Wait until ``count`` batches are finished while the program still runs."""
    while len(finished(folder)) < count:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)


def test_a_killed_shard_resumes_and_gives_the_same_file(tmp_path, tiny_model, problems):
    used = spec(max_response_tokens=150)
    whole = subprocess.run(command(tmp_path, tiny_model, problems, "whole", used), capture_output=True, text=True, check=True)
    assert "40 problems, 120 samples (0 from an earlier run)" in whole.stderr

    arguments, folder = command(tmp_path, tiny_model, problems, "killed", used), tmp_path / "killed"
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        wait_for(process, folder, 2)
        process.kill()
    assert process.returncode == -9
    assert not (tmp_path / "killed.parquet").exists()
    before = finished(folder)
    assert 2 <= len(before) < 8
    kept = sum(sum(map(sum, pq.read_table(path)["token_counts"].to_pylist())) for path in before)

    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        wait_for(process, folder, len(before) + 1)
        assert before.items() <= finished(folder).items()
        _, messages = process.communicate()
    resumed, tokens = re.search(r"\((\d+) from an earlier run\), (\d+) new tokens", messages).groups()
    assert process.returncode == 0
    assert int(resumed) == len(before) * BATCH_SIZE
    expected = pq.read_table(tmp_path / "whole.parquet")
    assert int(tokens) + kept == sum(map(sum, expected["token_counts"].to_pylist()))
    assert pq.read_table(tmp_path / "killed.parquet").equals(expected, check_metadata=True)
    assert sorted(os.listdir(tmp_path)) == ["killed.parquet", "problems.parquet", "whole.parquet"]


def test_a_damaged_input_is_one_sentence(tmp_path, tiny_model, problems):
    problems.write_bytes(problems.read_bytes()[:1000])
    done = subprocess.run(command(tmp_path, tiny_model, problems, "out", spec()), capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"error: {problems}: not a readable Parquet file")


def test_a_stop_request_keeps_the_current_batch(tmp_path, tiny_model, problems):
    arguments, folder = command(tmp_path, tiny_model, problems, "stopped", spec(max_response_tokens=150)), tmp_path / "stopped"
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        wait_for(process, folder, 2)
        before = len(finished(folder))
        process.send_signal(signal.SIGTERM)
        _, messages = process.communicate()
    kept = len(finished(folder))
    assert process.returncode == 1
    assert before <= kept < 10  # the same if it was between two batches
    assert (
        messages.splitlines()[-1]
        == f"error: stopped by SIGTERM with {kept * BATCH_SIZE} of 120 samples; run the same command to resume"
    )
    again = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert f"120 samples ({kept * BATCH_SIZE} from an earlier run)" in again.stderr


@pytest.fixture
def interrupted(tmp_path, tiny_model, problems, monkeypatch):
    """State of a shard that failed at its fourth batch, and a function that resumes it."""
    save = State.save

    saved = []

    def failing(self, rows):
        saved.append(rows)
        if len(saved) == 4:
            raise OSError(28, "No space left on device")
        save(self, rows)

    def resume(used=None, model=tiny_model, batch_size=BATCH_SIZE):
        output = tmp_path / "out.parquet"
        return shards.generate(used or spec(), problems, model, output, tmp_path / "state", batch_size), pq.read_table(output)

    with monkeypatch.context() as patch:
        patch.setattr(State, "save", failing)
        with pytest.raises(OSError, match="No space left"):
            resume()
    assert len(finished(tmp_path / "state")) == 3
    return resume


def test_state_of_other_settings_is_not_used(tmp_path, interrupted, tiny_model, problems):
    other_model = shutil.copytree(tiny_model, tmp_path / "model")
    weights = bytearray((other_model / "model.safetensors").read_bytes())
    weights[-3] ^= 1
    (other_model / "model.safetensors").write_bytes(weights)
    for changes in ({"used": spec(seed=2)}, {"used": spec(temperature=0.9)}, {"model": other_model}):
        done, _ = interrupted(**changes)
        assert done.resumed == 0
        assert len(finished(tmp_path / "state")) == 3
    write(problems, [problem(index, ability="other" if index == 39 else "composition") for index in range(40)])
    assert interrupted()[0].resumed == 0


def test_another_batch_size_keeps_finished_batches(interrupted):
    done, table = interrupted(batch_size=24)
    assert done.resumed == 3 * BATCH_SIZE
    assert [len(responses) for responses in table["responses"].to_pylist()] == [3] * 40


def test_damaged_state_is_generated_again(tmp_path, interrupted):
    paths = sorted(finished(tmp_path / "state"))
    paths[0].write_bytes(paths[0].read_bytes()[:-10])
    shutil.copy(paths[1], paths[2])
    done, resumed = interrupted()
    assert done.resumed == BATCH_SIZE
    assert resumed.equals(interrupted()[1])


class Continuous(TransformersEngine):
    """The transformers engine with all requests in one call; it can die after ``dies_after`` samples.

    ``hears``: a signal that comes just before it dies.
    """

    continuous = True
    calls: list[int] = []
    dies_after = None
    dies_of: type[BaseException] = KeyboardInterrupt
    hears = None

    def generate(self, requests):
        self.calls.append(len(requests))
        for count, sample in enumerate(super().generate(requests)):
            if count == self.dies_after:
                if self.hears:
                    os.kill(os.getpid(), self.hears)
                raise self.dies_of
            yield sample


class Forgetful(TransformersEngine):
    def generate(self, requests):
        yield from list(super().generate(requests))[1:]


@pytest.mark.parametrize("seconds", [0, 3600])
def test_a_continuous_engine_gets_all_problems_and_keeps_finished_ones(tmp_path, tiny_model, problems, monkeypatch, seconds):
    saved, save, made = [], State.save, {}

    def noting(self, rows):
        saved.append([row["problem"] for row in rows])
        save(self, rows)

    monkeypatch.setattr(shards, "FLUSH_SECONDS", seconds)
    monkeypatch.setattr(State, "save", noting)
    monkeypatch.setattr(Continuous, "calls", [])
    for engine in ("transformers", f"{__name__}:Continuous"):
        used = spec().model_copy(update={"engine": engine})
        shards.generate(used, problems, tiny_model, tmp_path / "out.parquet", tmp_path / "state", BATCH_SIZE)
        made[engine] = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert made["transformers"] == made[f"{__name__}:Continuous"]
    assert Continuous.calls == [40]
    batches, continuous = saved[:10], saved[10:]
    assert [len(batch) for batch in batches] == [4] * 10
    assert sorted(number for group in continuous for number in group) == list(range(40))
    assert len(continuous) == (40 if seconds == 0 else 1)


def test_a_resumed_continuous_shard_makes_only_the_other_problems(tmp_path, tiny_model, problems, monkeypatch):
    monkeypatch.setattr(shards, "FLUSH_SECONDS", 0)
    monkeypatch.setattr(Continuous, "calls", [])
    used = spec().model_copy(update={"engine": f"{__name__}:Continuous"})
    output = tmp_path / "out.parquet"

    def resume():
        return shards.generate(used, problems, tiny_model, output, tmp_path / "state", BATCH_SIZE)

    with monkeypatch.context() as patch:
        patch.setattr(Continuous, "dies_after", 50)
        with pytest.raises(KeyboardInterrupt):
            resume()
    kept = {row["problem"]: row["responses"] for path in finished(tmp_path / "state") for row in pq.read_table(path).to_pylist()}
    assert 0 < len(kept) <= 50 // 3
    done = resume()
    assert done.resumed == len(kept) * 3
    assert Continuous.calls == [40, 40 - len(kept)]
    rows = pq.read_table(output).to_pylist()
    assert all(rows[number]["responses"] == responses for number, responses in kept.items())
    assert all(len(row["responses"]) == 3 for row in rows)


@pytest.mark.parametrize("heard", [signal.SIGTERM, None])
def test_finished_problems_are_kept_if_an_engine_dies_of_a_stop_request(tmp_path, tiny_model, problems, monkeypatch, heard):
    """A cluster's SIGTERM reaches the engine's own processes too."""
    monkeypatch.setattr(shards, "FLUSH_SECONDS", 3600)
    for name, value in {"calls": [], "dies_after": 50, "dies_of": RuntimeError, "hears": heard}.items():
        monkeypatch.setattr(Continuous, name, value)
    used = spec().model_copy(update={"engine": f"{__name__}:Continuous"})
    message = r"stopped by SIGTERM with \d+ of 120 samples; run the same command to resume" if heard else "^$"
    with pytest.raises(UserError if heard else RuntimeError, match=message):
        shards.generate(used, problems, tiny_model, tmp_path / "out.parquet", tmp_path / "state", BATCH_SIZE)
    kept = [row for path in finished(tmp_path / "state") for row in pq.read_table(path).to_pylist()]
    assert bool(kept) == bool(heard)
    assert all(len(row["responses"]) == 3 for row in kept)
    assert not (tmp_path / "out.parquet").exists()


def test_an_engine_that_leaves_out_samples_is_an_error(tmp_path, tiny_model, problems):
    used = spec().model_copy(update={"engine": f"{__name__}:Forgetful"})
    with pytest.raises(UserError, match=r"rollout_engine.name: the engine left out 1 samples of 4 prompts"):
        shards.generate(used, problems, tiny_model, tmp_path / "out.parquet", tmp_path / "state", BATCH_SIZE)


@pytest.mark.parametrize("position", [0, 0.3, 0.999])
def test_changes_in_big_weight_files_are_seen(tmp_path, position):
    size = READ_WHOLE * 3
    path = tmp_path / "model.safetensors"
    path.touch()
    os.truncate(path, size)
    before = digest(tmp_path)
    with open(path, "r+b") as file:
        file.seek(int(size * position))
        file.write(b"\x01" * (1 << 20))
    assert digest(tmp_path) != before
    os.truncate(path, size + 1)


def test_the_fingerprint_covers_the_engine():
    keys = {fingerprint(spec(), {"dtype": dtype}, "digest", [problem(0)]) for dtype in ("float32", "bfloat16")}
    assert len(keys) == 2
