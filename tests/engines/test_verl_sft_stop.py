"""Fine-tuning with verl's own trainer in two processes on a CPU: every way to stop it, and resuming."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean

import psutil
import pytest
import rl_problems
import sft_job
import tiny_model
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from fofg.data.files import write_parquet
from fofg.data.schemas import RFT
from fofg.training.conversations import IGNORED
from fofg.training.examples import encode_file
from fofg.training.verl.protocol import last_step

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("sft")
    tiny_model.make(made / "model")
    train, test = ([rl_problems.example(index) for index in range(rows)] for rows in (sft_job.EXAMPLES, sft_job.TESTS))
    test[0]["response"] = 12 * "unlike the others, "  # longer than the others and never trained on
    for name, examples in (("train", train), ("test", test)):
        write_parquet(made / f"{name}.parquet", RFT, [examples])
    return made


class Job:
    """One start of the job."""

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name
        if self.state():
            (self.state() / "verl.jsonl").unlink()  # of the previous start
        command = [sys.executable, sft_job.__file__, str(folder), name]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)

    def state(self) -> Path | None:
        """Return the run's folder."""
        return next(iter((self.folder / f"{self.name}-state").glob("*-2")), None)

    def steps(self) -> list[int]:
        """Return the steps that verl has logged since this start."""
        written = self.state() and self.state() / "verl.jsonl"
        return [json.loads(line)["step"] for line in written.read_text().splitlines()] if written and written.exists() else []

    def trains(self, steps: int) -> None:
        """Wait until it has trained a number of steps."""
        end = time.monotonic() + 240
        while len(set(self.steps())) < steps:
            assert time.monotonic() < end and self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.05)

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]

    def rank(self, number: int) -> psutil.Process:
        return next(one for one in self.processes() if one.environ().get("RANK") == str(number))

    def wait(self) -> tuple[int, str]:
        """Wait for the end. Return the exit code and the error output."""
        errors = self.process.communicate(timeout=300)[1]
        return self.process.returncode, errors


def all_before_their_time_limit(job):
    for process in job.processes():
        process.send_signal(signal.SIGURG)


def one_worker_before_its_time_limit(job):
    """As when SLURM signals only the processes that srun started on other nodes."""
    job.rank(1).send_signal(signal.SIGURG)


def driver_by_sigterm(job):
    """The other processes see the stop file alone."""
    os.kill(job.process.pid, signal.SIGTERM)


def all_by_sigterm(job):
    """As SLURM does to preempt or cancel a job."""
    for process in job.processes():
        process.send_signal(signal.SIGTERM)


LIMIT, SIGTERM = "before the time limit", "by SIGTERM"
WAYS = [
    (all_before_their_time_limit, LIMIT),
    (one_worker_before_its_time_limit, LIMIT),
    (driver_by_sigterm, SIGTERM),
    (all_by_sigterm, SIGTERM),
]


@pytest.fixture(scope="module")
def uninterrupted(folder) -> Path:
    """Return the model of an uninterrupted run."""
    code, errors = Job(folder, "whole").wait()
    assert code == 0, errors
    return folder / "whole"


def test_the_loss_on_two_processes_is_the_mean_over_the_examples(folder, uninterrupted):
    """The test loss after the last step; some test rows are repeated to fill a batch."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    tests = encode_file(tokenizer, folder / "test.parquet", sft_job.spec().sft)
    network = AutoModelForCausalLM.from_pretrained(uninterrupted, dtype=torch.float32)
    losses = []
    for ids, labels in zip(tests.input_ids, tests.labels):
        ids, labels = torch.tensor(ids).long(), torch.tensor(labels)
        with torch.no_grad():
            scores = network(ids[None]).logits[0, :-1].log_softmax(-1)
        losses.append((-scores.gather(1, ids[1:, None])[labels[1:] != IGNORED]).flatten().tolist())
    losses = (2 * losses)[: 2 * sft_job.BATCH]
    by_token, by_example = fmean(loss for own in losses for loss in own), fmean(map(fmean, losses))
    assert abs(by_token - by_example) > 0.1
    assert records(uninterrupted)[-1]["test_loss"] == pytest.approx(by_example, abs=0.01)  # bfloat16


def test_what_replaces_flash_attn_trains_the_same_model(folder, uninterrupted):
    """From the first step to the merged model, whose configuration must not name an attention that others lack."""
    code, errors = Job(folder, "kernels").wait()
    assert code == 0, errors
    ours, theirs = (records(model) for model in (folder / "kernels", uninterrupted))
    for name in ("loss", "test_loss"):
        assert [record.get(name) for record in ours] == pytest.approx([record.get(name) for record in theirs], abs=0.02)
    assert "varlen" not in (folder / "kernels/config.json").read_text()


def test_a_stopped_run_saves_its_current_step_and_resumes_exactly(folder, uninterrupted):
    done = 0
    for way, reason in WAYS:
        job = Job(folder, "stopped")
        job.trains(4)
        processes = job.processes()
        way(job)
        code, errors = job.wait()
        log = (job.state() / "verl.log").read_text()
        saved, trained = last_step(job.state()), max(job.steps())
        assert code == 1 and f"stopped {reason} after step {saved} of {sft_job.STEPS}; run the same command to resume" in errors, (
            errors + log
        )
        assert done + 4 <= saved == trained < sft_job.STEPS, log
        assert "Traceback" not in errors and (way is all_by_sigterm or "Traceback" not in log)
        assert min(job.steps()) == done + 1
        assert {int(path.name[12:]) for path in job.state().glob("global_step_*")} >= {done + 1, saved}
        psutil.wait_procs(processes, timeout=60)
        assert not any(process.is_running() for process in processes)
        done = saved
    code, errors = Job(folder, "stopped").wait()
    assert code == 0, errors
    assert f"resuming after step {done} of {sft_job.STEPS}" in errors
    ours, theirs = (records(model) for model in (folder / "stopped", uninterrupted))
    assert [record["step"] for record in ours] == list(range(1, sft_job.STEPS + 1))
    assert ours == theirs
    for name, weights in load_file(uninterrupted / "model.safetensors").items():
        assert weights.equal(load_file(folder / "stopped/model.safetensors")[name]), name


def records(model: Path) -> list[dict]:
    lines = [json.loads(line) for line in (model / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def test_a_stop_request_before_the_first_step_exits_at_once(folder):
    job = Job(folder, "early")
    end = time.monotonic() + 240
    while not (job.state() and (job.state() / "verl.log").exists()):
        assert time.monotonic() < end and job.process.poll() is None, job.process.communicate()[1]
        time.sleep(0.05)
    driver_by_sigterm(job)
    code, errors = job.wait()
    assert code == 1 and f"stopped {SIGTERM} after step 0 of {sft_job.STEPS}; run the same command to resume" in errors
    assert not job.steps() and not list(job.state().glob("global_step_*"))
