"""A killed training run resumes from its newest complete checkpoint and ends with the same model."""

import signal
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
import sft_runs
from hypothesis import given
from hypothesis import strategies as st
from sft_runs import run, settings
from training_runs import checkpoints, distance, interrupt, resume, without_seconds

from fofg.training import metrics
from fofg.training.run import fingerprint, newest_checkpoint
from fofg.training.saving import SaveBudget

SCRIPT = Path(__file__).parents[2] / "workflow" / "scripts" / "train_sft.py"
#: 12 epochs of three steps.
SPEC = settings(epochs=12)
STEPS = 36


def command(data, output, spec=SPEC, save_every=4):
    files = ["--model", data / "base", "--train", data / "train.parquet", "--test", data / "test.parquet"]
    paths = ["--output", output, "--state", output.parent / f"{output.name}-state"]
    shape = ["--micro-batch-size", 2, "--save-every", save_every, "--threads", 1]
    return [str(part) for part in [sys.executable, SCRIPT, "--spec", spec.text(), *files, *paths, *shape]]


@pytest.fixture(scope="module")
def data(tmp_path_factory, tiny_model):
    return sft_runs.make(tmp_path_factory.mktemp("sft"), tiny_model)


@pytest.fixture(scope="module")
def whole(data):
    """Train without interruption."""
    run(data, data / "whole", SPEC, micro_batch_size=2)
    return data / "whole"


def assert_equal(output, whole):
    assert distance(output, whole) == 0
    records = [without_seconds(metrics.read(folder / "metrics.jsonl")) for folder in (output, whole)]
    assert records[0] == records[1]


def test_killed_with_torn_checkpoints(data, whole, tmp_path):
    output = tmp_path / "out"
    code, _ = interrupt(command(data, output), output, 8, signal.SIGKILL)
    assert code == -signal.SIGKILL and not (output / "model.safetensors").exists()
    assert 8 in checkpoints(output)
    last = checkpoints(output)[-1]
    (newest,) = output.parent.glob(f"out-state/*/checkpoint-{last}.pt")
    newest.with_name(f"checkpoint-{last + 4}.pt").write_bytes(newest.read_bytes()[:-1000])
    newest.with_name(f".checkpoint-{last + 8}.pt.partial").write_bytes(b"killed while it was written")

    messages = resume(command(data, output))
    assert f"resuming after step {last} of {STEPS}" in messages
    assert_equal(output, whole)
    assert not (tmp_path / "out-state").exists()


def test_a_stop_request_saves_a_checkpoint_and_fails(data, whole, tmp_path):
    output = tmp_path / "out"
    code, messages = interrupt(command(data, output, save_every=8), output, 8, signal.SIGURG)
    assert code == 1 and "error: stopped before the time limit after step" in messages
    stopped = int(messages.split("stopped before the time limit after step ")[1].split()[0])
    assert 8 < stopped < STEPS and checkpoints(output)[-1] == stopped
    assert f"resuming after step {stopped} of" in resume(command(data, output, save_every=8))
    assert_equal(output, whole)


@given(st.floats(0.01, 1), st.floats(0.01, 100), st.lists(st.floats(0.01, 100), min_size=1, max_size=50))
def test_saves_stay_within_their_share_of_the_time(share, save_seconds, steps):
    """Of all but the first save, whose time is not known before."""
    clock = 0.0
    with patch("time.monotonic", lambda: clock):
        budget, ends = SaveBudget(share), []
        for seconds in steps:
            clock += seconds
            if budget.allows():
                with budget.spend():
                    clock += save_seconds
                ends.append(clock)
    assert ends[0] == steps[0] + save_seconds
    assert (len(ends) - 1) * save_seconds <= share * (ends[-1] - ends[0]) * (1 + 1e-9)
    assert share < 1 or len(ends) == len(steps)


def without_final_files(data, output, spec, **saves):
    """Train to the last step, with a checkpoint there, but without the final files."""
    partial = output.with_name(f".{output.name}.partial")
    partial.write_text("in the way")
    with pytest.raises(FileExistsError):
        run(data, output, spec, micro_batch_size=2, **saves or {"save_every": STEPS})
    partial.unlink()
    assert checkpoints(output)[-1] == STEPS


def test_checkpoints_that_take_too_much_of_the_time_are_skipped(data, tmp_path):
    """The first one shows how long a save takes; after that there is no time for another until the end."""
    without_final_files(data, tmp_path / "out", SPEC, save_every=1, max_save_share=1e-9)
    assert checkpoints(tmp_path / "out") == [1, STEPS]


def test_a_kill_after_the_last_step(data, whole, tmp_path, capsys):
    """The newest checkpoint holds every step; only the final files are missing."""
    output = tmp_path / "out"
    without_final_files(data, output, SPEC)
    run(data, output, SPEC, micro_batch_size=2)
    assert f"resuming after step {STEPS} of {STEPS}" in capsys.readouterr().err
    assert_equal(output, whole)


def test_state_of_another_spec_is_not_resumed(data, whole, tmp_path, capsys):
    output = tmp_path / "out"
    without_final_files(data, output, settings(epochs=12, seed=3))
    run(data, output, SPEC, micro_batch_size=2)
    assert "resuming" not in capsys.readouterr().err
    assert distance(output, whole) == 0
    assert not (tmp_path / "out-state").exists()


def test_fingerprint_covers_spec_model_and_content(tmp_path):
    train, test = tmp_path / "train", tmp_path / "test"
    train.write_text("a")
    test.write_text("b")
    first = fingerprint("spec", "model", [train, test])
    assert fingerprint("spec", "model", [train, test]) == first
    others = [
        fingerprint("spec2", "model", [train, test]),
        fingerprint("spec", "model2", [train, test]),
        fingerprint("spec", "model", [test, train]),
    ]
    test.write_text("c")
    others.append(fingerprint("spec", "model", [train, test]))
    assert len({first, *others}) == 5
    test.rename(tmp_path / "moved")
    assert fingerprint("spec", "model", [train, tmp_path / "moved"]) == others[-1]


@pytest.mark.parametrize("damage", [b"", b"1234", None], ids=["empty", "nonsense", "cut short"])
def test_the_newest_checkpoint_that_can_be_read(tmp_path, damage):
    import torch

    assert newest_checkpoint(tmp_path) is None
    for step in (9, 20, 100):
        torch.save({"step": step}, tmp_path / f"checkpoint-{step}.pt")
    torn = tmp_path / "checkpoint-100.pt"
    torn.write_bytes(torn.read_bytes()[:300] if damage is None else damage)
    assert newest_checkpoint(tmp_path) == {"step": 20}
    assert not torn.exists()


def test_a_checkpoint_that_can_not_be_read_now_is_kept(tmp_path):
    """A disk that fails for a moment does not cost hours of training."""
    (tmp_path / "disk").mkdir()
    unreadable = tmp_path / "checkpoint-20.pt"
    unreadable.symlink_to("disk")  # reading it raises OSError, whoever runs the test
    with pytest.raises(OSError):
        newest_checkpoint(tmp_path)
    assert unreadable.is_symlink()
