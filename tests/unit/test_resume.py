"""A killed training run goes on from its newest complete checkpoint, and ends as an uninterrupted one."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_sft import data, run, same, settings  # noqa: F401

from fofg.training import metrics
from fofg.training.run import fingerprint, newest_checkpoint

SCRIPT = Path(__file__).parents[2] / "workflow" / "scripts" / "train_sft.py"
#: 12 epochs of three steps.
SPEC = settings(epochs=12)
STEPS = 36


def command(data, output, spec=SPEC, save_every=4):  # noqa: F811
    files = ["--model", data / "base", "--train", data / "train.parquet", "--test", data / "test.parquet"]
    places = ["--output", output, "--state", output.parent / f"{output.name}-state"]
    shape = ["--micro-batch-size", 2, "--save-every", save_every, "--threads", 1]
    return [str(part) for part in [sys.executable, SCRIPT, "--spec", spec.text(), *files, *places, *shape]]


def finish(data, output, **options):  # noqa: F811
    return subprocess.run(command(data, output, **options), check=True, capture_output=True, text=True).stderr


def interrupt(data, output, step, number, **options):  # noqa: F811
    """Starts a run, sends it a signal once the checkpoint of ``step`` is complete, and returns how it ended."""
    process = subprocess.Popen(command(data, output, **options), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    checkpoint = f"{output.name}-state/*/checkpoint-{step}.pt"
    deadline = time.monotonic() + 600
    while not list(output.parent.glob(checkpoint)):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.005)
    process.send_signal(number)
    told, _ = process.communicate(timeout=600)
    return process.returncode, told


def checkpoints(output):
    return sorted(int(path.stem.split("-")[1]) for path in output.parent.glob(f"{output.name}-state/*/checkpoint-*.pt"))


@pytest.fixture(scope="module")
def whole(data):  # noqa: F811
    """The model of a run that nothing interrupted."""
    run(data, data / "whole", SPEC, micro_batch_size=2)
    return data / "whole"


def without_seconds(output):
    return [{**record, "seconds": 0} for record in metrics.read(output / "metrics.jsonl")]


def test_killed_with_torn_checkpoints(data, whole, tmp_path):  # noqa: F811
    output = tmp_path / "out"
    code, _ = interrupt(data, output, 8, signal.SIGKILL)
    assert code == -signal.SIGKILL and not (output / "model.safetensors").exists()
    assert 8 in checkpoints(output)
    last = checkpoints(output)[-1]
    (newest,) = output.parent.glob(f"out-state/*/checkpoint-{last}.pt")
    newest.with_name(f"checkpoint-{last + 4}.pt").write_bytes(newest.read_bytes()[:-1000])
    newest.with_name(f".checkpoint-{last + 8}.pt.partial").write_bytes(b"killed while it was written")

    told = finish(data, output)
    assert f"resuming after step {last} of {STEPS}" in told
    assert same(output, whole)
    assert without_seconds(output) == without_seconds(whole)
    assert not (tmp_path / "out-state").exists()


def test_a_run_that_is_asked_to_stop_saves_and_fails(data, whole, tmp_path):  # noqa: F811
    output = tmp_path / "out"
    code, told = interrupt(data, output, 8, signal.SIGURG, save_every=8)
    assert code == 1 and "error: stopped before the time limit after step" in told
    stopped = int(told.split("stopped before the time limit after step ")[1].split()[0])
    assert 8 < stopped < STEPS and checkpoints(output)[-1] == stopped
    assert f"resuming after step {stopped} of" in finish(data, output, save_every=8)
    assert same(output, whole)
    assert without_seconds(output) == without_seconds(whole)


def without_final_files(data, output, spec):  # noqa: F811
    """Trains to the last step, with a checkpoint there, but can't write the final files."""
    partial = output.with_name(f".{output.name}.partial")
    partial.write_text("in the way")
    with pytest.raises(FileExistsError):
        run(data, output, spec, micro_batch_size=2, save_every=STEPS)
    partial.unlink()
    assert checkpoints(output) == [STEPS]


def test_a_kill_after_the_last_step(data, whole, tmp_path, capsys):  # noqa: F811
    """The newest checkpoint holds every step; only the final files are missing."""
    output = tmp_path / "out"
    without_final_files(data, output, SPEC)
    run(data, output, SPEC, micro_batch_size=2)
    assert f"resuming after step {STEPS} of {STEPS}" in capsys.readouterr().err
    assert same(output, whole)
    assert without_seconds(output) == without_seconds(whole)


def test_state_of_other_work_is_not_resumed(data, whole, tmp_path, capsys):  # noqa: F811
    output = tmp_path / "out"
    without_final_files(data, output, settings(epochs=12, seed=3))
    run(data, output, SPEC, micro_batch_size=2)
    assert "resuming" not in capsys.readouterr().err
    assert same(output, whole)
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
