"""verl's metrics as our records: read while they are written, and kept after a kill."""

import json
import time
from functools import partial

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fofg.training import metrics
from fofg.training.curricula import phase_of
from fofg.training.run import Run
from fofg.training.verl import records
from fofg.training.verl.records import Follower, Lines


def line(step, **data):
    """Return a line as verl's file logger writes it."""
    return json.dumps({"step": step, "data": data}, separators=(",", ":"))


def trained(step, loss=1.0, tokens=100):
    """Return the line of verl's SFT trainer for a step."""
    values = {"loss": loss, "grad_norm": 0.5, "lr": 1e-5 * step, "mfu": 0.1, "global_tokens": tokens, "total_tokens(B)": 1e-7}
    return line(step, **{f"train/{name}": value for name, value in values.items()}, **{"perf/cpu_memory_used_gb": 3.0})


def drawn(level1=0.25, level2=0.75, groups=4, limit_reached=0.0):
    """Return our sampler's metrics of a step; verl turns counts into floats."""
    values = {"reward": 0.5, "accuracy": 0.5, "accuracy_level1": level1, "accuracy_level2": level2, "response_length": 40.5}
    counts = {"truncated": 0.125, "groups": groups, "groups_kept": 2.0, "generation_batches": 2.0, "limit_reached": limit_reached}
    return {f"fofg/{name}": value for name, value in (values | counts).items()}


def updated(seconds=(2.5, 4.0)):
    """Return verl's metrics of an update; ``seconds``: of the rollouts, and of the whole step."""
    names = ("pg_loss", "pg_clipfrac", "pg_clipfrac_lower", "ppo_kl", "entropy", "grad_norm", "lr")
    values = {f"actor/{name}": (number + 1) / 8 for number, name in enumerate(names)}
    values |= {"perf/total_num_tokens": 400, "perf/throughput": 9.0}
    values |= {"timing_s/gen": seconds[0], "timing_s/step": seconds[1], "timing_s/update_actor": 1.0, "perf/mfu/actor": 0.2}
    return values | {"critic/score/mean": 9.0, "response_length/mean": 9.0, "training/global_step": 1.0, "global_seqlen/mean": 9.0}


def validated(**levels):
    """verl's metrics of a validation: of each level, our ``data_source`` in it."""
    values = {}
    for level, share in levels.items():
        source = f"string_task/{level}"
        values |= {f"val-core/{source}/acc/mean@1": share, f"val-aux/{source}/score/mean@1": 9.0}
        values |= {f"val-aux/{source}/truncated/mean@1": 9.0, f"val-aux/{source}/acc_success_only/mean@1": 9.0}
    return values | {"val-aux/num_turns/mean": 2.0}


def lines_of(folder, texts, step=0, seconds=1.0):
    """Return the lines that a run keeps after a step's checkpoint, one text per second."""
    lines = Lines(folder / "lines.jsonl", step, folder / "drawn.jsonl")
    for text in texts:
        lines.add(text, lines.seconds() + seconds)
    return lines


two_phases = partial(records.grpo, phase_of=partial(phase_of, lengths=[2, 2]))
two_per_epoch = partial(records.sft, steps_per_epoch=2)


def test_fine_tuning(tmp_path):
    lines = lines_of(tmp_path, [trained(1, 2.0), trained(2, 1.5), line(2, **{"val/loss": 1.75}), trained(3, 1.0, tokens=50)])
    first, second, third = two_per_epoch(lines.steps())
    values = {"loss": 2.0, "learning_rate": 1e-5, "grad_norm": 0.5, "tokens": 100, "seconds": 1.0}
    assert first == {"step": 1, "epoch": 0.5, **values}
    assert (second["test_loss"], second["loss"], second["tokens"], second["seconds"]) == (1.75, 1.5, 200, 3.0)
    assert (third["epoch"], third["tokens"]) == (1.5, 250) and "test_loss" not in third
    assert [record["loss"] for record in metrics.thin([first, second, third], 2)] == [1.75, 1.0]


def test_reinforcement_learning(tmp_path):
    texts = [
        line(0, **validated(level1=0.5, level2=0.25)),
        line(1, **drawn(), **updated()),
        line(2, **drawn(groups=6.0, limit_reached=1.0), **updated(), **validated(level10=0.0, level1=1.0, level2=0.5)),
        line(3, **drawn(groups=8.0), **updated()),
    ]
    zeroth, first, second, third = two_phases(lines_of(tmp_path, texts).steps())
    levels = {"validation_accuracy_level1": 0.5, "validation_accuracy_level2": 0.25}
    assert zeroth == {"step": 0, "validation_accuracy": 0.375, **levels, "seconds": 1.0}
    values = {"reward": 0.5, "accuracy": 0.5, "accuracy_level1": 0.25, "accuracy_level2": 0.75, "response_length": 40.5}
    values |= {"truncated": 0.125, "prompts": 4, "groups": 4, "groups_kept": 2, "generation_batches": 2, "limit_reached": False}
    values |= {"prompts_drawn": 4, "learning_rate": 7 / 8, "loss": 1 / 8, "clip_fraction": 2 / 8, "entropy": 5 / 8}
    values |= {"grad_norm": 6 / 8, "seconds_generation": 2.5, "seconds_training": 1.5, "seconds": 2.0, "tokens": 400}
    assert first == {"step": 1, "phase": 1, **values}
    assert (second["prompts_drawn"], second["limit_reached"], second["validation_accuracy"]) == (10, True, 0.5)
    assert list(second)[-4:-1] == [f"validation_accuracy_level{level}" for level in (1, 2, 10)]
    assert (second["tokens"], third["tokens"]) == (800, 1200)
    assert (third["phase"], third["prompts_drawn"]) == (2, 8)  # the next phase has its own stream
    for record in (first, second, third):
        for name in ("prompts", "groups", "groups_kept", "generation_batches", "prompts_drawn"):
            assert type(record[name]) is int


def test_lines_after_the_checkpoint_are_dropped_and_time_continues(tmp_path):
    lines_of(tmp_path, [trained(1), trained(2), trained(3)])
    lines = lines_of(tmp_path, [trained(3, 7.0)], step=2)
    assert [(record["step"], record["loss"], record["seconds"]) for record in two_per_epoch(lines.steps())] == [
        (1, 1.0, 1.0),
        (2, 1.0, 2.0),
        (3, 7.0, 3.0),
    ]
    again = Lines(tmp_path / "lines.jsonl", 3, tmp_path / "drawn.jsonl")
    assert again.steps() == lines.steps() and again.seconds() == 3.0


def test_a_saved_step_without_a_line_is_known_from_its_groups(tmp_path):
    lines_of(tmp_path, [line(1, **drawn(), **updated())])
    values = [line(1, **drawn(groups=99)), line(2, **drawn(groups=98)), line(2, **drawn(groups=6)), line(3, **drawn(groups=97))]
    (tmp_path / "drawn.jsonl").write_text("".join(f"{text}\n" for text in values))
    first, second, third = two_phases(lines_of(tmp_path, [line(3, **drawn(groups=8), **updated())], step=2).steps())
    assert (first["groups"], second["groups"], third["groups"]) == (4, 6, 8)  # of a step drawn twice, the later counts
    assert (second["seconds"], second["prompts_drawn"], third["prompts_drawn"]) == (1.0, 10, 8)
    assert "loss" not in second and third["loss"] == 1 / 8


def test_a_validation_logged_after_a_restart_belongs_to_its_step(tmp_path):
    lines_of(tmp_path, [line(1, **drawn(), **updated()), line(2, **drawn(), **updated())])
    lines = lines_of(tmp_path, [line(2, **validated(level1=0.5)), line(3, **drawn(), **updated())], step=2)
    assert [record.get("validation_accuracy") for record in two_phases(lines.steps())] == [None, 0.5, None]
    assert lines.validated(2)


@pytest.mark.parametrize("name", ["lines.jsonl", "drawn.jsonl"])
def test_a_torn_line_is_skipped(tmp_path, name):
    lines_of(tmp_path, [trained(1), trained(2)])
    with open(tmp_path / name, "a") as file:
        file.write(trained(3)[:40])
    lines = lines_of(tmp_path, [trained(3)], step=2)
    assert [record["step"] for record in lines.steps()] == [1, 2, 3]


class Followed:
    """A growing log, the lines kept of it, and the run that records them."""

    def __init__(self, folder, convert=two_per_epoch, total=4):
        self.written, self.folder = folder / "verl.jsonl", folder
        self.run = Run("{}", folder, folder, folder, ["tensorboard"], None, True, None)
        self.lines = Lines(folder / "lines.jsonl", 0, folder / "drawn.jsonl")
        self.logging = self.run.logging(total)
        self.logging.__enter__()
        self.follower = Follower(self.written, self.lines, convert, self.run)
        self.follower.start()

    def write(self, text):
        with open(self.written, "a") as file:
            file.write(text)

    def shows(self, *steps):
        end = time.monotonic() + 30
        while [record["step"] for record in self.run.records] != list(steps):
            assert time.monotonic() < end and self.follower.is_alive(), self.run.records
            time.sleep(0.05)

    def stop(self):
        try:
            self.follower.stop()
        finally:
            self.logging.__exit__(None, None, None)


def test_a_step_is_recorded_when_the_next_one_begins(tmp_path):
    run = Followed(tmp_path)
    text = trained(2, 1.5) + "\n"
    run.write(trained(1, 2.0) + "\n" + text[:30])
    time.sleep(1)
    assert run.run.records == []
    run.write(text[30:])
    run.shows(1)
    run.write(line(2, **{"val/loss": 1.25}) + "\n" + trained(3) + "\n")
    run.shows(1, 2)
    assert run.run.records[1]["test_loss"] == 1.25
    run.write(trained(4) + "\n")
    run.stop()
    assert [record["step"] for record in run.run.records] == [1, 2, 3, 4]
    assert run.run.records == two_per_epoch(Lines(tmp_path / "lines.jsonl", 4, tmp_path / "drawn.jsonl").steps())
    seconds = [record["seconds"] for record in run.run.records]
    assert seconds == sorted(seconds) and seconds[-1] >= 1
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 2.0), (2, 1.5), (3, 1.0), (4, 1.0)]


def test_unknown_metrics_are_an_error(tmp_path):
    run = Followed(tmp_path)
    run.write(line(1, **{"train/los": 1.0}) + "\n")
    with pytest.raises(KeyError, match="train/loss"):
        run.stop()
