"""What all training runs share: lock, resume, checkpoints, metrics, graceful stop, the finished model folder."""

import hashlib
import json
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from tqdm import tqdm

from fofg import models
from fofg.data.files import replacing
from fofg.errors import UserError
from fofg.runtime.locks import exclusive
from fofg.runtime.signals import stoppable
from fofg.training import metrics, modeling
from fofg.training.metrics import Record
from fofg.training.saving import SaveBudget
from fofg.training.trackers import tracking

#: Checkpoints of a run that are kept: should the newest be unreadable, there is one before it.
CHECKPOINTS = 2


@contextmanager
def training_run(
    spec: str,
    model: str | Path,
    files: Iterable[str | Path],
    output: str | Path,
    state: str | Path,
    trackers: Sequence[str] = (),
    validation: dict | None = None,
    one_file: bool = False,
) -> Iterator["Run"]:
    """Lock ``state`` for a run, and remove it once the run has finished.

    ``spec``: canonical JSON of what decides the result, together with the ``model`` folder and ``files``. Checkpoints are in a
    folder named by the digest of all three, so a run never resumes from another run's state. ``validation``: how the run is
    validated; ``one_file``: as of ``modeling.save``. Raises UserError if ``model`` can't be trained, or another process holds
    ``state``.
    """
    model, output, state = Path(model), Path(output), Path(state)
    models.check(model)
    with exclusive(state), ExitStack() as stack:
        key = fingerprint(spec, models.digest(model), files)
        run = Run(spec, model, output, state / key, trackers, validation, one_file, stack)
        yield run
        shutil.rmtree(state, ignore_errors=True)


class Run:
    """A run in progress. ``records``: one per step so far, including those before a kill; ``folder``: its checkpoints.

    ``kept``: the file of the rollouts that ``fofg.training.kept`` keeps of it.
    """

    def __init__(
        self,
        spec: str,
        model: Path,
        output: Path,
        folder: Path,
        trackers: Sequence[str],
        validation: dict | None,
        one_file: bool,
        stack: ExitStack,
    ):
        self.spec, self.model, self.output, self.folder = spec, model, output, folder
        self.trackers, self.validation, self.one_file, self._stack = trackers, validation, one_file, stack
        self.records: list[Record] = []
        self.kept = folder / "kept.jsonl"

    def resume(self, network, optimizer, total: int, save_every: int, max_save_share: float = 1.0) -> None:
        """Load the newest checkpoint, if there is one, and start logging. From then on, SIGTERM takes effect after a step.

        A checkpoint is due every ``save_every`` steps, and skipped if saving took more than ``max_save_share`` of the time.
        """
        self._network, self._optimizer, self._save_every = network, optimizer, save_every
        self._save_budget = SaveBudget(max_save_share)
        if checkpoint := newest_checkpoint(self.folder):
            network.load_state_dict(checkpoint["model"])
            optimizer.load_state_dict(checkpoint["optimizer"])
            modeling.set_random_state(checkpoint["random"])
            self.records = checkpoint["records"]
        # Closed by training_run, whatever ends the run: the loop that calls this needs no block of its own.
        self._stack.enter_context(self.logging(total))
        self._stop = self._stack.enter_context(stoppable())

    @contextmanager
    def logging(self, total: int) -> Iterator[None]:
        """Show progress, and open the run's trackers."""
        self.total, done = total, self.records[-1]["step"] if self.records else None
        self._began = time.monotonic() - (self.records[-1]["seconds"] if self.records else 0.0)
        if done is not None:
            print(f"resuming after step {done} of {total}", file=sys.stderr)
        opened = tracking(self.trackers, self.output, self.folder, json.loads(self.spec), done)
        with opened as self._track, tqdm(total=total, initial=done or 0, desc="train", unit="step") as self._bar:
            yield

    def steps(self) -> Iterator[int]:
        """Yield the numbers of the remaining steps. After each, save a checkpoint when one is due.

        Raises UserError after a checkpoint if a stop was requested.
        """
        first = int(self.records[-1]["step"]) + 1 if self.records else 1
        for step in range(first, self.total + 1):
            yield step  # the caller's loop body runs here: the step is trained and logged when the next line is reached
            # After the last step there is nothing to resume, so a stop request no longer matters: the model is written.
            stopped = self._stop.is_set() and step < self.total
            due = step % self._save_every == 0 and self._save_budget.allows()
            if due or step == self.total or stopped:
                with self._save_budget.spend():
                    self._save(step)
            if stopped:
                raise stop_error(self._stop.reason, step, self.total)

    def seconds(self) -> float:
        """Return the time since the run began, without the time between a kill and its resumption."""
        return round(time.monotonic() - self._began, 3)

    def log(self, record: Record, **shown: str) -> None:
        """Add the record of a step. The progress bar shows ``shown``, except before the first step."""
        self.records.append(record)
        self._track(record)
        if record["step"]:
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update(1)

    def finish(self, network, log_every: int = 1) -> None:
        """Write the model folder with ``metrics.jsonl`` (a line per ``log_every`` steps), ``spec.json`` and what else there is."""
        print(f"{metrics.arithmetic_seconds(self.records):.1f} s of model arithmetic", file=sys.stderr)
        records = metrics.thin(self.records, log_every)
        modeling.save(network, self.model, self.output, records, json.loads(self.spec), self.validation, self.one_file, self.kept)

    def keep_model(self) -> None:
        """Finish without training: write the model unchanged."""
        print(f"{self.output} is the model {self.model}, unchanged", file=sys.stderr)
        shutil.rmtree(self.output / "tensorboard", ignore_errors=True)
        self.records = [{"step": 0, "epoch": 0.0, "tokens": 0, "seconds": 0.0}]
        self.finish(modeling.load(self.model, max_length=0))

    def _save(self, step: int) -> None:
        state = {
            "model": self._network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "random": modeling.random_state(),
            "records": self.records,
        }
        # Renamed into place once it is complete, so a kill during the write leaves the previous checkpoint as the newest.
        with replacing(self.folder / f"checkpoint-{step}.pt") as temporary:
            torch.save(state, temporary)
        for old in _checkpoints(self.folder)[CHECKPOINTS:]:
            old.unlink()


def fingerprint(spec: str, model: str, files: Iterable[str | Path]) -> str:
    """Return 32 hexadecimal digits that change with the spec, the digest of the model, or the content of any file."""
    total = hashlib.sha256(f"{spec}\n{model}\n".encode())
    for path in files:
        with open(path, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:32]


def newest_checkpoint(folder: Path) -> dict | None:
    """Load the newest readable checkpoint; remove damaged ones."""
    for path in _checkpoints(folder):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # torch.load raises half a dozen kinds for a damaged file
            print(f"{path}: damaged checkpoint, removed ({type(error).__name__})", file=sys.stderr)
            path.unlink()
    return None


def stop_error(reason: str, step: int, total: int) -> UserError:
    """Return the error of a run that stopped on request, with a checkpoint at ``step``."""
    return UserError(f"stopped {reason} after step {step} of {total}; run the same command to resume")


def _checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoint files, newest first."""
    matches = {path: re.fullmatch(r"checkpoint-(\d+)\.pt", path.name) for path in folder.glob("checkpoint-*")}
    steps = {path: int(match[1]) for path, match in matches.items() if match}
    return sorted(steps, key=lambda path: -steps[path])
