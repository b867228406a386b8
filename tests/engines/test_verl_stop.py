"""Reinforcement learning that is asked to stop: verl's own loop saves the step that it is in, ends, and goes on from there."""

import json
import time
from functools import partial
from pathlib import Path

import pytest
import transfer_queue as tq
from verl_run import Run

from fofg.runtime.signals import request_stop
from fofg.training.curricula import phase_of
from fofg.training.verl import records
from fofg.training.verl.protocol import DRAWN, ERROR, LINES, STOP

pytestmark = pytest.mark.engines
SAME, MIXED = (1, "RRRR"), (1, "RWRW")
STEPS = 6
REASON = "by SIGTERM"


class Learning:
    """A run of several starts: what they drew, and what is recorded of them."""

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
        """The error that ends it, if one does."""
        lines, at = self.lines(), options.pop("at", {})
        for step in range(1, STEPS + 1):
            at["update", step] = partial(self.look, step, at.get(("update", step), lambda: None))
        self.written.unlink(missing_ok=True)
        try:
            self.run.fit(STEPS, at, **options)
            said = ""
        except RuntimeError as error:
            said = str(error)
            assert (self.run.folder / ERROR).read_text() == said
        for line in self.written.read_text().splitlines():
            lines.add(line, 1.0)
        return said

    def look(self, step: int, then) -> None:
        """At a step's update: what it trains on."""
        keys = [key for key, tag in tq.kv_list()["train"].items() if not tag.get("is_prompt")]
        data = tq.kv_batch_get(keys=keys, partition_id="train", select_fields=["index"])
        self.drawn.setdefault(step, []).append(sorted(set(data["index"])))
        then()

    def ask(self) -> None:
        request_stop(self.run.folder / STOP, REASON)

    def ask_and_wait(self) -> None:
        """Until it has been heard of."""
        self.ask()
        end = time.monotonic() + 60
        while self.run.config.trainer.save_freq != 1:
            assert time.monotonic() < end
            time.sleep(0.05)

    def records(self) -> list[dict]:
        made = records.grpo(self.lines().steps(), partial(phase_of, lengths=[STEPS]))
        timed = ("seconds", "seconds_generation", "seconds_training")
        return [{name: value for name, value in record.items() if name not in timed} for record in made]


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_model):
    made = Run(tmp_path_factory.mktemp("run"), tiny_model)
    yield made
    made.close()


@pytest.fixture
def learning(run, tmp_path, monkeypatch):
    return Learning(run, tmp_path, monkeypatch)


def told(step: int) -> str:
    return f"stopped {REASON} after step {step} of {STEPS}; run the same command to resume"


def test_asked_in_an_update_it_saves_that_step_and_goes_on_as_if_nothing_had_been(learning):
    assert learning.start(validate_every=2, validates_first=True) == ""
    whole, drawn = learning.records(), learning.drawn
    assert [record["step"] for record in whole] == list(range(STEPS + 1)) and learning.run.saved() == STEPS
    learning.clear()
    assert learning.start(validate_every=2, validates_first=True, at={("update", 3): learning.ask_and_wait}) == told(3)
    assert learning.run.saved() == 3
    assert learning.start(validate_every=2, at={("update", 4): learning.ask_and_wait}) == told(4)
    assert learning.start(validate_every=2) == ""
    assert learning.drawn == drawn and all(len(times) == 1 for times in drawn.values())
    assert learning.run.trainer.actor_rollout_wg.updates == STEPS
    assert learning.records() == whole


def test_asked_when_a_step_is_saved_it_trains_no_further(learning):
    assert learning.start(save_every=2, at={("end", 4): learning.ask}) == told(4)
    assert learning.run.saved() == 4 and max(learning.drawn) == 4


def test_asked_when_a_step_is_done_but_not_saved_it_saves_the_next(learning):
    assert learning.start(save_every=4, at={("end", 2): learning.ask}) == told(3)
    assert learning.run.saved() == 3 and [record["step"] for record in learning.records()] == [1, 2, 3]


def test_asked_in_its_last_step_it_ends_well(learning):
    assert learning.start(at={("update", STEPS): learning.ask_and_wait}) == ""
    assert learning.run.saved() == STEPS and not (learning.run.folder / ERROR).exists()


@pytest.mark.parametrize("validates_first", [False, True])
def test_asked_before_its_first_step_it_ends_without_one(learning, validates_first, monkeypatch):
    assert learning.start(at={("update", 2): learning.ask_and_wait}) == told(2)
    load = learning.run.trainer._load_checkpoint
    monkeypatch.setattr(learning.run.trainer, "_load_checkpoint", lambda: (load(), learning.ask()))
    assert learning.start(validates_first=validates_first) == told(2)
    assert learning.run.saved() == 2 and max(learning.drawn) == 2
    assert [json.loads(line)["step"] for line in learning.written.read_text().splitlines()] == []
