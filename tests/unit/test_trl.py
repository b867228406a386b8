"""TRL's trainer reads RFT data as it is. It runs in a process with packages of its own, since verl can't start beside TRL."""

import json
import os
import subprocess
import sys

import pyarrow as pa
import pytest
import rl_problems
from side_packages import install
from transformers import AutoTokenizer

from fofg.data.files import write_parquet
from fofg.data.messages import with_messages
from fofg.data.schemas import EXAMPLES, RFT
from fofg.training.conversations import IGNORED, conversation, encode

pytestmark = pytest.mark.slow

PINS = {"envs/gpu.txt": ("accelerate", "datasets", "dill", "multiprocess", "xxhash"), "tests/template_packages.txt": ("trl",)}
TRAIN = """
import json, sys
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer
model, train, work = sys.argv[1:]
rows = load_dataset("parquet", data_files=train, split="train", cache_dir=f"{work}/cache")
config = SFTConfig(f"{work}/out", max_steps=2, use_cpu=True, bf16=False, report_to=[], save_strategy="no")
trainer = SFTTrainer(model=model, args=config, train_dataset=rows)
trainer.train()
print(json.dumps([[row["input_ids"], row["labels"]] for row in trainer.train_dataset]))
"""


def test_trl_learns_the_responses_that_engine_torch_learns(pytestconfig, tmp_path, tiny_model):
    trl = install(pytestconfig, "trl", PINS)
    examples = [rl_problems.example(index) for index in range(8)]
    path = tmp_path / "train.parquet"
    write_parquet(path, RFT, [with_messages(pa.RecordBatch.from_pylist(examples, EXAMPLES))])
    command = [sys.executable, "-c", TRAIN, str(tiny_model), str(path), str(tmp_path)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(trl)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours = encode(AutoTokenizer.from_pretrained(tiny_model), map(conversation, examples), 200, "error", "made")
    for (ids, labels), own_ids, own_labels in zip(
        json.loads(done.stdout.splitlines()[-1]), ours.input_ids, ours.labels, strict=True
    ):
        assert ids == own_ids.tolist() and labels == own_labels.tolist()
    assert IGNORED in labels and set(labels) != {IGNORED}
