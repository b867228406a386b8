"""Fine-tune with engine verl in two processes on a CPU: ``python sft_job.py FOLDER NAME``; FOLDER has the model and the data.

The run ``kernels`` is without what verl has for a machine that lacks flash-attn.
"""

import sys
from pathlib import Path

import verl_on_cpu
from verl_configs import load

from fofg import cli
from fofg.specs import SFTSpec
from fofg.training.verl import sft

#: Steps per run and per epoch. Each step's checkpoint is due, but after the first one's time only a stop saves another.
STEPS, EPOCH, SAVES = 36, 6, {"save_every": 1, "max_save_share": 1e-9}
BATCH, EXAMPLES, TESTS = 4, 26, 5
SETTINGS = {"learning_rate": 1e-3, "epochs": STEPS // EPOCH, "batch_size": BATCH, "max_length": 60, "too_long": "truncate"}
KERNELS = {"training": {"verl": {"attention": "varlen", "fused_kernels": True}}}
SETTINGS |= {"loss_agg_mode": "seq-mean-token-mean"}


def spec():
    made = SFTSpec(sft=load("gpu-tiny.yaml").stage1.sft)
    return made.model_copy(update={"sft": made.sft.model_copy(update=SETTINGS)})


def main() -> None:
    folder, name = Path(sys.argv[1]), sys.argv[2]
    verl_on_cpu.use()
    files = [folder / "model", folder / "train.parquet", folder / "test.parquet", folder / name, folder / f"{name}-state"]
    chosen = load("gpu-tiny.yaml", KERNELS if name == "kernels" else {})
    sft.train(spec(), *files, chosen.training.verl, gpus=2, nodes=1, **SAVES)


if __name__ == "__main__":
    cli.run(main)
