"""Convert verl's metrics to fofg's records: follow its log, store it with times, and read it again after a kill."""

import json
import math
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from fofg.data.files import write_text
from fofg.training.metrics import Record, running_tokens
from fofg.training.run import Run
from fofg.training.verl.protocol import PREFIX

_VALIDATION = re.compile(r"val-core/.+/level(\d+)/acc/mean@1$")
_POLL_SECONDS = 0.5
#: Metric of verl's actor -> ours.
_ACTOR = {
    "lr": "learning_rate",
    "pg_loss": "loss",
    "pg_clipfrac": "clip_fraction",
    "entropy": "entropy",
    "grad_norm": "grad_norm",
}


class Lines:
    """Lines of verl's file logger (``{"step", "data"}``), each with its time in seconds, summed over all starts of the run.

    ``file``: where they are stored; ``step``: that of the checkpoint, after which lines are dropped; ``drawn``: lines of fofg's
    sampler, for steps whose own line was lost in a kill.
    """

    def __init__(self, file: Path, step: int, drawn: Path):
        self.file = file
        self.lines = [line for line in _read(file) if step and line["step"] <= step]
        known, seconds = {line["step"] for line in self.lines}, self.seconds()
        lost = {line["step"]: line | {"seconds": seconds} for line in _read(drawn) if line["step"] <= step}
        self.lines += [line for number, line in lost.items() if number not in known]
        self.lines.sort(key=lambda line: line["step"])
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, "".join(json.dumps(line) + "\n" for line in self.lines))

    def seconds(self) -> float:
        """Return the time of the last line."""
        return self.lines[-1]["seconds"] if self.lines else 0.0

    def add(self, line: str, seconds: float) -> None:
        """Store a line of verl's log."""
        self.lines.append(json.loads(line) | {"seconds": round(seconds, 3)})
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(json.dumps(self.lines[-1]) + "\n")

    def validated(self, step: int) -> bool:
        """Return whether a step has been validated."""
        return any(_validation(line["data"]) for line in self.lines if line["step"] == step)

    def steps(self) -> list[dict]:
        """Merge the lines of each step. verl writes null for NaN."""
        merged: dict[int, dict] = {}
        for line in self.lines:
            data = {name: math.nan if value is None else value for name, value in line["data"].items()}
            merged.setdefault(line["step"], {"step": line["step"]}).update(data, seconds=line["seconds"])
        return list(merged.values())


def _read(file: Path) -> list[dict]:
    """Read the lines of a file, up to one that a kill cut off."""
    lines: list[dict] = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


class Follower(threading.Thread):
    """Thread that follows verl's log, and logs each step as soon as the next one begins.

    ``convert``: turns the metrics of all steps so far into records.
    """

    def __init__(self, written: Path, lines: Lines, convert: Callable[[list[dict]], list[Record]], run: Run):
        super().__init__(name="metrics", daemon=True)
        self.written, self.lines, self.convert, self._run = written, lines, convert, run
        self._end, self._began = threading.Event(), time.monotonic() - lines.seconds()
        self._rest = ""
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._follow()
        except Exception as error:  # raised again by ``stop``: an error in a thread would go unnoticed
            self._error = error

    def stop(self) -> None:
        """Read to the end of the log, then raise any error of the thread."""
        self._end.set()
        self.join()
        if self._error:
            raise self._error

    def _follow(self) -> None:
        offset = 0
        while True:
            last = self._end.is_set()
            if self.written.exists():
                with open(self.written, encoding="utf-8") as file:
                    file.seek(offset)
                    *whole, self._rest = (self._rest + file.read()).split("\n")
                    offset = file.tell()
                for line in whole:
                    self.lines.add(line, time.monotonic() - self._began)
            records = self.convert(self.lines.steps())
            # The last step may get more lines (its validation), so it is logged once the next step or the end is there.
            for record in records[len(self._run.records) : len(records) if last else -1]:
                shown = {name: f"{record[name]:.3f}" for name in ("loss", "reward", "accuracy") if name in record}
                self._run.log(record, **shown)
            if last:
                return
            self._end.wait(_POLL_SECONDS)


def sft(steps: list[dict], steps_per_epoch: int) -> list[Record]:
    """Return the records of fine-tuning, with the keys of ``fofg.training.sft``."""
    records, tokens = [], 0
    for metrics in steps:
        tokens += int(metrics.get("train/global_tokens", 0))
        record = {
            "step": metrics["step"],
            "epoch": metrics["step"] / steps_per_epoch,
            "loss": metrics["train/loss"],
            "learning_rate": metrics["train/lr"],
            "grad_norm": metrics["train/grad_norm"],
            "tokens": tokens,
            "seconds": metrics["seconds"],
        }
        records.append(record | ({"test_loss": metrics["val/loss"]} if "val/loss" in metrics else {}))
    return records


def grpo(steps: list[dict], phase_of: Callable[[int], int]) -> list[Record]:
    """Return the records of reinforcement learning, with the keys of ``fofg.training.grpo``."""
    records: list[Record] = []
    for metrics in steps:
        step, validation = metrics["step"], _validation(metrics)
        if not step:
            records.append({"step": 0, **validation, "seconds": metrics["seconds"]})
            continue
        drawn = {name.removeprefix(PREFIX): value for name, value in metrics.items() if name.startswith(PREFIX)}
        drawn |= {name: int(drawn[name]) for name in ("groups", "groups_kept", "generation_batches")}
        before = records[-1] if records and records[-1].get("phase") == phase_of(step) else {}
        record = {
            "step": step,
            "phase": phase_of(step),
            **drawn,
            "limit_reached": bool(drawn["limit_reached"]),
            "prompts": drawn["groups"],
            "prompts_drawn": before.get("prompts_drawn", 0) + drawn["groups"],
            **_update(metrics),
            **(running_tokens(records, int(metrics["perf/total_num_tokens"])) if "perf/total_num_tokens" in metrics else {}),
            **validation,
            "seconds": metrics["seconds"],
        }
        records.append(record)
    return records


def _update(metrics: dict) -> Record:
    """Return the metrics of a step's update; none if verl was killed before it wrote them."""
    if "timing_s/step" not in metrics:
        return {}
    generation = metrics["timing_s/gen"]
    names = _ACTOR | ({"kl_loss": "kl"} if "actor/kl_loss" in metrics else {})
    return {
        "seconds_generation": round(generation, 3),
        **{name: metrics[f"actor/{verl_name}"] for verl_name, name in names.items()},
        "seconds_training": round(metrics["timing_s/step"] - generation, 3),
    }


def _validation(metrics: dict) -> Record:
    by_level = {int(match[1]): value for name, value in metrics.items() if (match := _VALIDATION.match(name))}
    if not by_level:
        return {}
    levels = {f"validation_accuracy_level{level}": by_level[level] for level in sorted(by_level)}
    return {"validation_accuracy": sum(levels.values()) / len(levels), **levels}
