"""verl's metrics as our own: followed while they are written, kept with their time, and read again after a kill."""

import json
import math
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from fofg.data.files import write_text
from fofg.training.metrics import Record
from fofg.training.run import Run
from fofg.training.verl.names import PREFIX

_VALIDATION = re.compile(r"val-core/.+/level(\d+)/acc/mean@1$")
_POLL_SECONDS = 0.5


class Lines:
    """What verl's file logger wrote, ``{"step", "data"}`` a line, with the seconds since the run began, over all its starts.

    ``file``: where they are kept; ``step``: that of the checkpoint at which the run goes on, behind which lines are dropped;
    ``drawn``: lines of the sampler's, for steps whose own was not written before a kill.
    """

    def __init__(self, file: Path, step: int, drawn: Path):
        self.file = file
        self.lines = [line for line in _read(file) if step and line["step"] <= step]
        known, late = {line["step"] for line in self.lines}, self.seconds()
        lost = {line["step"]: line | {"seconds": late} for line in _read(drawn) if line["step"] <= step}
        self.lines += [line for number, line in lost.items() if number not in known]
        self.lines.sort(key=lambda line: line["step"])
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, "".join(json.dumps(line) + "\n" for line in self.lines))

    def seconds(self) -> float:
        return self.lines[-1]["seconds"] if self.lines else 0.0

    def add(self, line: str, seconds: float) -> None:
        self.lines.append(json.loads(line) | {"seconds": round(seconds, 3)})
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(json.dumps(self.lines[-1]) + "\n")

    def validated(self, step: int) -> bool:
        return any(_validation(line["data"]) for line in self.lines if line["step"] == step)

    def steps(self) -> list[dict]:
        """One a step: what all its lines say; verl writes null for what is no number."""
        merged: dict[int, dict] = {}
        for line in self.lines:
            data = {name: math.nan if value is None else value for name, value in line["data"].items()}
            merged.setdefault(line["step"], {"step": line["step"]}).update(data, seconds=line["seconds"])
        return list(merged.values())


def _read(file: Path) -> list[dict]:
    """Lines of a file, up to one that a kill has torn."""
    found: list[dict] = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


class Follower(threading.Thread):
    """Reads lines from verl's log as they come, and logs each step as soon as the next one begins.

    ``convert``: from what verl says of all steps so far to our records of them.
    """

    def __init__(self, written: Path, lines: Lines, convert: Callable[[list[dict]], list[Record]], run: Run):
        super().__init__(name="metrics", daemon=True)
        self.written, self.lines, self.convert, self._run = written, lines, convert, run
        self._end, self._began = threading.Event(), time.monotonic() - lines.seconds()
        self._rest, self._failed = "", None

    def run(self) -> None:
        try:
            self._follow()
        except Exception as error:  # told by ``stop``: a thread's own would be lost
            self._failed = error

    def _follow(self) -> None:
        place = 0
        while True:
            last = self._end.is_set()
            if self.written.exists():
                with open(self.written, encoding="utf-8") as file:
                    file.seek(place)
                    text = file.read()
                    place = file.tell()
                self._take(text)
            self._show(complete=last)
            if last:
                return
            self._end.wait(_POLL_SECONDS)

    def stop(self) -> None:
        """Reads to the end of the log. Raises what went wrong while it was read."""
        self._end.set()
        self.join()
        if self._failed:
            raise self._failed

    def _take(self, text: str) -> None:
        *whole, self._rest = (self._rest + text).split("\n")
        for line in whole:
            self.lines.add(line, time.monotonic() - self._began)

    def _show(self, complete: bool) -> None:
        """Hands on the records of finished steps: of all, or of all but the last, of which more lines may come."""
        records = self.convert(self.lines.steps())
        for record in records[len(self._run.records) : len(records) if complete else -1]:
            self._run.log(record, **_shown(record))


def _shown(record: Record) -> dict[str, str]:
    names = {"loss": "loss", "reward": "reward", "accuracy": "accuracy"}
    return {label: f"{record[name]:.3f}" for name, label in names.items() if name in record}


def sft(steps: list[dict], steps_per_epoch: int) -> list[Record]:
    """Records of fine-tuning: loss, learning rate, gradient norm, epoch, tokens so far, perhaps the loss on test examples."""
    records, tokens = [], 0
    for said in steps:
        tokens += int(said.get("train/global_tokens", 0))
        record = {
            "step": said["step"],
            "epoch": said["step"] / steps_per_epoch,
            "loss": said["train/loss"],
            "learning_rate": said["train/lr"],
            "grad_norm": said["train/grad_norm"],
            "tokens": tokens,
            "seconds": said["seconds"],
        }
        records.append(record | ({"test_loss": said["val/loss"]} if "val/loss" in said else {}))
    return records


def grpo(steps: list[dict], phase_of: Callable[[int], int]) -> list[Record]:
    """Records of reinforcement learning: what Groups says of a step's groups, what the trainer says of its update, validation."""
    records: list[Record] = []
    for said in steps:
        step, validation = said["step"], _validation(said)
        if not step:
            records.append({"step": 0, **validation, "seconds": said["seconds"]})
            continue
        drawn = {name.removeprefix(PREFIX): value for name, value in said.items() if name.startswith(PREFIX)}
        before = records[-1] if records and records[-1].get("phase") == phase_of(step) else {}
        counts = {name: int(drawn[name]) for name in ("groups", "groups_kept", "generation_batches", "limit_reached")}
        record = {
            "step": step,
            "phase": phase_of(step),
            **drawn,
            **counts,
            "prompts": counts["groups"],
            "prompts_drawn": before.get("prompts_drawn", 0) + counts["groups"],
            "limit_reached": bool(counts["limit_reached"]),
            **_update(said),
            **validation,
            "seconds": said["seconds"],
        }
        records.append(record)
    return records


def _update(said: dict) -> Record:
    """What the trainer says of a step's update; nothing if it was killed before it could."""
    if "timing_s/step" not in said:
        return {}
    names = {
        "learning_rate": "lr",
        "loss": "pg_loss",
        "clip_fraction": "pg_clipfrac",
        "entropy": "entropy",
        "grad_norm": "grad_norm",
    }
    return {
        "seconds_generation": round(said["timing_s/gen"], 3),
        **{ours: said[f"actor/{theirs}"] for ours, theirs in names.items()},
        **({"kl": said["actor/kl_loss"]} if "actor/kl_loss" in said else {}),
        "seconds_training": round(said["timing_s/step"] - said["timing_s/gen"], 3),
    }


def _validation(said: dict) -> Record:
    found = {int(match[1]): value for name, value in said.items() if (match := _VALIDATION.match(name))}
    if not found:
        return {}
    levels = {f"validation_accuracy_level{level}": found[level] for level in sorted(found)}
    return {"validation_accuracy": sum(levels.values()) / len(levels), **levels}
