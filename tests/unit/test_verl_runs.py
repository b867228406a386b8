"""Stop requests for a verl run, with a program in verl's place."""

import os
import signal
import sys
import threading
import time
from functools import partial

import pytest

from fofg.errors import UserError
from fofg.runtime.signals import stop_reason
from fofg.training.run import Run
from fofg.training.verl import records, runs
from fofg.training.verl.protocol import ERROR, STOP

#: Saves step 2 of 3, asks for the signal by a file, and then does what its second argument names.
PROGRAM = """
import sys, time
from pathlib import Path
folder, then = Path(sys.argv[1]), sys.argv[2]
tracker, stop = folder / "latest_checkpointed_iteration.txt", folder / "stop"
tracker.write_text("2")
(folder / "ready").touch()
while not (stop.exists() and stop.read_text()):
    time.sleep(0.05)
if then == "saves":
    tracker.write_text("3")
elif then == "tells":
    (folder / "error").write_text("in its own words")
elif then == "fails":
    sys.exit("no space left")
else:
    time.sleep(1000)
"""


@pytest.fixture
def follow(tmp_path, monkeypatch):
    """Run the program, and signal the time limit to this process once it is ready."""

    def start(then: str, seconds: int = 90) -> None:
        monkeypatch.setenv("FOFG_SAVE_SECONDS", str(seconds))
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), then]
        lines = records.Lines(tmp_path / "lines.jsonl", 0, tmp_path / "drawn.jsonl")
        threading.Thread(target=interrupt, daemon=True).start()
        run = Run("{}", tmp_path, tmp_path, tmp_path, (), None, True, None)
        runs.follow(run, command, tmp_path, lines, partial(records.sft, steps_per_epoch=1), 3, {})

    def interrupt() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGURG)

    return start


def stopped(step: int) -> str:
    return f"stopped before the time limit after step {step} of 3; run the same command to resume"


def test_a_stopped_run_that_reached_its_last_step_succeeds(follow, tmp_path):
    (tmp_path / STOP).write_text("of an earlier start")
    follow("saves")
    assert stop_reason(tmp_path / STOP) == "before the time limit"


def test_a_run_that_saved_reports_its_own_message(follow, tmp_path):
    (tmp_path / ERROR).write_text("by an earlier start")
    with pytest.raises(UserError, match="in its own words"):
        follow("tells")


def test_a_run_that_does_not_exit_in_time_keeps_its_last_checkpoint(follow, capfd):
    with pytest.raises(UserError) as error:
        follow("sleeps", seconds=30)
    assert str(error.value) == stopped(2)
    assert "verl failed" not in capfd.readouterr().err


def test_a_run_that_cannot_save_shows_its_log(follow, capfd):
    with pytest.raises(UserError) as error:
        follow("fails")
    assert str(error.value) == stopped(2)
    shown = capfd.readouterr().err
    assert "verl failed with exit code 1" in shown and "no space left" in shown


def test_checkpoints_after_the_last_complete_one_are_removed_before_a_run_goes_on(tmp_path):
    """Those that a kill or a full disk left: each takes the room of the next one."""
    for step in (1, 2, 3):
        (tmp_path / f"global_step_{step}").mkdir()
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("2")
    runs.remove_incomplete(tmp_path)
    assert {path.name for path in tmp_path.glob("global_step_*")} == {"global_step_1", "global_step_2"}
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("")  # a full disk cut it off
    runs.remove_incomplete(tmp_path)
    assert (tmp_path / "global_step_2").exists()
