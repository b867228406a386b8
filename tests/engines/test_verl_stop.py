"""Stop requests in reinforcement learning: verl's own loop saves its current step, exits, and resumes from there."""

import json
import time
from functools import partial
from pathlib import Path

import pytest
import transfer_queue as tq
from verl_run import MIXED, SAME, Run

from fofg.runtime.signals import request_stop
from fofg.training.curricula import phase_of
from fofg.training.verl import records
from fofg.training.verl.protocol import DRAWN, ERROR, LINES, STOP

pytestmark = pytest.mark.engines
STEPS = 6
REASON = "by SIGTERM"


class Learning:
    """A run of several starts, with the problems and records of each step."""

    def __init__(self, run: Run, folder: Path, environment):
        self.run, self.written = run, folder / "verl.jsonl"
        environment.setenv("VERL_FILE_LOGGER_PATH", str(self.written))
        self.clear()

    def clear(self) -> None:
        self.drawn = {}
        self.run.load([MIXED, SAME, MIXED, MIXED, SAME, MIXED, SAME, SAME, MIXED, MIXED, MIXED], wanted=2, generation=3, most=3)
        (self.run.folder / LINES).unlink(missing_ok=True)

    def lines(self) -> records.Lines:
        return records.Lines(self.run.folder / LINES, self.run.saved(), self.run.folder / DRAWN)

    def start(self, **options) -> str:
        """Train until the end or a stop. Return the error message."""
        lines, at = self.lines(), options.pop("at", {})
        for step in range(1, STEPS + 1):
            at["update", step] = partial(self.look, step, at.get(("update", step), lambda: None))
        self.written.unlink(missing_ok=True)
        try:
            self.run.fit(STEPS, at, **options)
            error_text = ""
        except RuntimeError as error:
            error_text = str(error)
            assert (self.run.folder / ERROR).read_text() == error_text
        for line in self.written.read_text().splitlines():
            lines.add(line, 1.0)
        return error_text

    def look(self, step: int, then) -> None:
        """Note the problems of a step's update."""
        keys = [key for key, tag in tq.kv_list()["train"].items() if not tag.get("is_prompt")]
        data = tq.kv_batch_get(keys=keys, partition_id="train", select_fields=["index"])
        self.drawn.setdefault(step, []).append(sorted(set(data["index"])))
        then()

    def ask(self) -> None:
        request_stop(self.run.folder / STOP, REASON)

    def ask_and_wait(self) -> None:
        """Request a stop and wait until verl has noticed it."""
        self.ask()
        end = time.monotonic() + 60
        while self.run.config.trainer.save_freq != 1:
            assert time.monotonic() < end
            time.sleep(0.05)

    def records(self) -> list[dict]:
        made = records.grpo(self.lines().steps(), partial(phase_of, lengths=[STEPS]))
        timed = ("seconds", "seconds_generation", "seconds_training")
        return [{name: value for name, value in record.items() if name not in timed} for record in made]


@pytest.fixture
def learning(run, tmp_path, monkeypatch):
    return Learning(run, tmp_path, monkeypatch)


def stop_message(step: int) -> str:
    return f"stopped {REASON} after step {step} of {STEPS}; run the same command to resume"


def test_a_stop_request_during_an_update_saves_that_step_and_the_run_resumes_exactly(learning):
    assert learning.start(validate_every=2, validates_first=True) == ""
    whole, drawn = learning.records(), learning.drawn
    assert [record["step"] for record in whole] == list(range(STEPS + 1)) and learning.run.saved() == STEPS
    learning.clear()
    assert learning.start(validate_every=2, validates_first=True, at={("update", 3): learning.ask_and_wait}) == stop_message(3)
    assert learning.run.saved() == 3
    assert learning.start(validate_every=2, at={("update", 4): learning.ask_and_wait}) == stop_message(4)
    assert learning.start(validate_every=2) == ""
    assert learning.drawn == drawn and all(len(times) == 1 for times in drawn.values())
    assert learning.run.trainer.actor_rollout_wg.updates == STEPS
    assert learning.records() == whole


@pytest.mark.parametrize(("save_every", "asked", "saved"), [(2, 4, 4), (4, 2, 3)], ids=["after a saved step", "after another"])
def test_a_stop_request_between_steps_ends_with_a_saved_step(learning, save_every, asked, saved):
    assert learning.start(save_every=save_every, at={("end", asked): learning.ask}) == stop_message(saved)
    assert learning.run.saved() == max(learning.drawn) == saved
    assert [record["step"] for record in learning.records()] == list(range(1, saved + 1))


def test_checkpoints_that_take_too_much_of_the_time_are_skipped(learning):
    draws = learning.run.config.trainer.v1.sampler.sampler_kwargs
    draws.max_save_share = 1e-9
    assert learning.start(save_every=1) == ""
    draws.max_save_share = 1.0
    saved = Path(learning.run.config.trainer.default_local_dir).glob("global_step_*")
    assert {int(path.name.rpartition("_")[2]) for path in saved} == {1, STEPS}


def test_a_stop_request_in_the_last_step_finishes_the_run(learning):
    assert learning.start(at={("update", STEPS): learning.ask_and_wait}) == ""
    assert learning.run.saved() == STEPS and not (learning.run.folder / ERROR).exists()


@pytest.mark.parametrize("validates_first", [False, True])
def test_a_stop_request_before_the_first_step_trains_nothing(learning, validates_first, monkeypatch):
    assert learning.start(at={("update", 2): learning.ask_and_wait}) == stop_message(2)
    load = learning.run.trainer._load_checkpoint
    monkeypatch.setattr(learning.run.trainer, "_load_checkpoint", lambda: (load(), learning.ask()))
    assert learning.start(validates_first=validates_first) == stop_message(2)
    assert learning.run.saved() == 2 and max(learning.drawn) == 2
    assert [json.loads(line)["step"] for line in learning.written.read_text().splitlines()] == []
