"""Training runs in the real Weights & Biases, offline: one point per step, also when a run was killed and resumed."""

import os
import subprocess
import sys

import pytest

from fofg.errors import UserError
from fofg.training.trackers import tracking

pytestmark = pytest.mark.engines
LOG = """
import os, sys
from pathlib import Path
from fofg.training.trackers import tracking
folder, done, first, last, end = sys.argv[1:]
with tracking(["wandb"], Path(folder, "model"), Path(folder, "state"), {"code": 1}, int(done) if done else None) as log:
    for step in range(int(first), int(last) + 1):
        log({"step": step, "loss": step / 2, "seconds": 1.0})
    if end == "kill":
        os.kill(os.getpid(), 9)
"""


def history(path) -> list[tuple[int, float]]:
    """Return the steps and losses in a file of wandb's: records of protobuf in the log format of LevelDB."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, offset, points = path.read_bytes(), 7, []
    while offset + 7 < len(data):
        length = int.from_bytes(data[offset + 4 : offset + 6], "little")
        assert data[offset + 6] == 1, "a record over two blocks"
        record = Record.FromString(data[offset + 7 : offset + 7 + length])
        if record.HasField("history"):
            values = {item.key or ".".join(item.nested_key): item.value_json for item in record.history.item}
            points.append((record.history.step.num, float(values["train/loss"])))
        offset += 7 + length
    return points


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_resumed_run_has_each_step_once_in_one_wandb_run(tmp_path, end):
    environment = os.environ | {"WANDB_MODE": "offline"}
    for done, first, last, way in (("", 0, 4, end), ("2", 3, 6, "stop")):
        command = [sys.executable, "-c", LOG, str(tmp_path), done, str(first), str(last), way]
        code = subprocess.run(command, env=environment, timeout=120).returncode
        assert code == (-9 if way == "kill" else 0)
    files = sorted((tmp_path / "model/wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 2 and len({path.name for path in files}) == 1  # the run's id
    points = [point for path in files for point in history(path)]
    assert len(points) == len(dict(points)) and set(points) <= {(step, step / 2) for step in range(7)}
    assert {5, 6} <= dict(points).keys()
    assert end == "kill" or len(points) == 7


def test_wandb_without_an_account_is_one_sentence(tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="WANDB_MODE=offline"), tracking(["wandb"], tmp_path, tmp_path, {}, None):
        pass
