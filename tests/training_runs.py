"""Training runs: interrupt them, and compare their weights and records."""

import subprocess
import time
from pathlib import Path


def weights(folder: Path) -> dict:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def distance(one: Path, other: Path) -> float:
    """Return the largest difference of two models' weights."""
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    return max(float((first[name].float() - second[name].float()).abs().max()) for name in first)


def without_seconds(records: list[dict]) -> list[dict]:
    return [{name: value for name, value in record.items() if not name.startswith("seconds")} for record in records]


def checkpoints(output: Path) -> list[int]:
    """Return the steps of a run's complete checkpoints."""
    return sorted(int(path.stem.split("-")[1]) for path in output.parent.glob(f"{output.name}-state/*/checkpoint-*.pt"))


def interrupt(command: list[str], output: Path, step: int, number: int) -> tuple[int, str]:
    """Send a signal once the checkpoint of ``step`` is complete. Return the exit code and the output."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 300
    while step not in checkpoints(output):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.005)
    process.send_signal(number)
    messages, _ = process.communicate(timeout=300)
    return process.returncode, messages


def resume(command: list[str]) -> str:
    """Run to the end. Return standard error."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr
