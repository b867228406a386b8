"""Fine-tuning runs on conversations that write letters in reverse."""

import shutil
from pathlib import Path

import configs
import rollout_rows

from fofg.data.files import write_parquet
from fofg.data.schemas import RFT
from fofg.specs import SFTSpec
from fofg.training import metrics


def settings(**changes) -> SFTSpec:
    return SFTSpec(sft=configs.sft(**changes))


def example(index: int) -> dict:
    """Return a conversation of one to three turns."""
    words = ["abcdefgh"[index % 5 : index % 5 + 2 + turn] for turn in range(1 + index % 3)]
    turns = [turn for word in words for turn in (("user", f"{word}?"), ("assistant", f"{word[::-1]}."))]
    prompt = [{"role": role, "content": content} for role, content in turns[:-1]]
    return rollout_rows.problem(index, prompt=prompt) | {"response": turns[-1][1]}


def make(folder: Path, model: Path, name: str = "") -> Path:
    """Write a base model, 20 examples, so that the last batch of an epoch is incomplete, and 5 test examples."""
    folder = folder / name
    shutil.copytree(model, folder / "base")
    write_parquet(folder / "train.parquet", RFT, [[example(index) for index in range(20)]])
    write_parquet(folder / "test.parquet", RFT, [[example(index) for index in range(20, 25)]])
    write_parquet(folder / "empty.parquet", RFT, [[]])
    return folder


def run(data, output, spec=None, test="test.parquet", train="train.parquet", model=None, **options) -> list[dict]:
    """Fine-tune in this process and return the records."""
    from fofg.training import sft

    options = {"micro_batch_size": 4, "save_every": 1000, "threads": 1, **options}
    state = output.parent / f"{output.name}-state"
    sft.train(spec or settings(), model or data / "base", data / train, data / test, output, state, **options)
    return metrics.read(output / "metrics.jsonl")
