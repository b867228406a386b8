"""Engines that train: found by name, or anywhere on the path."""

import json
import os
import subprocess
import sys
from pathlib import Path

import configs
import pytest
from safetensors.torch import load_file

from fofg.data.files import write_parquet
from fofg.data.schemas import RFT
from fofg.errors import UserError
from fofg.specs import SFTSpec
from fofg.training import engines
from fofg.training.sft import train

PROGRAM = Path(__file__).parents[2] / "workflow/scripts/train_sft.py"
#: A custom engine whose training doubles every weight.
THEIRS = """
from fofg.training import modeling
from fofg.training.run import training_run


def double(spec, model, train_file, test_file, output, state, micro_batch_size, threads, gpus, nodes, save_every, **others):
    with training_run(spec.text(), model, [train_file, test_file], output, state) as run:
        network = modeling.load(model, max_length=0)
        for weight in network.parameters():
            weight.data *= 2
        run.records = [{"step": 1, "loss": 0.5, "seconds": 1.0}]
        run.finish(network)
"""


def test_own_engines_are_found_by_name():
    assert engines.find("sft", "torch") is train
    assert engines.find("sft", "fofg.training.sft:train") is train


@pytest.mark.parametrize("name", ["nothing.like:this", "fofg.training.sft:nothing", "verl.no.such:thing"])
def test_an_engine_that_cannot_be_loaded_is_named(name):
    with pytest.raises(UserError, match=f"{name} can't be loaded"):
        engines.find("sft", name)


def test_a_custom_engine_trains_a_model(tiny_model, tmp_path):
    (tmp_path / "theirs.py").write_text(THEIRS)
    data = tmp_path / "none.parquet"
    write_parquet(data, RFT, [])
    spec = SFTSpec(sft=configs.sft(engine="theirs:double"))
    files = {"--model": tiny_model, "--train": data, "--test": data, "--output": tmp_path / "new", "--state": tmp_path / "state"}
    files |= {"--micro-batch-size": 4, "--save-every": 20}
    command = [sys.executable, PROGRAM, "--spec", spec.text(), *(str(part) for pair in files.items() for part in pair)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    old, new = (load_file(folder / "model.safetensors") for folder in (tiny_model, tmp_path / "new"))
    assert all((new[name] == 2 * old[name]).all() for name in old)
    assert json.loads((tmp_path / "new/metrics.jsonl").read_text())["loss"] == 0.5
    assert json.loads((tmp_path / "new/spec.json").read_text())["sft"]["engine"] == "theirs:double"
