"""Build the embedded base model from scratch: tokenizer, pre-training, and a folder in Hugging Face format."""

import json
import shutil
from pathlib import Path

import torch
from transformers import GenerationConfig

from fofg.config import TinyBase, canonical
from fofg.data.files import staged, write_json
from fofg.runtime.locks import exclusive
from fofg.tiny_base import tokenizer as tokenizers
from fofg.tiny_base.batches import Batches
from fofg.tiny_base.train import LONGEST, Run, new_model


def build(settings: TinyBase, template: str, output: Path, state: Path, workers: int, save_every: int, code: int = 0) -> None:
    """Pre-train the model and write its folder, with metrics.jsonl and spec.json.

    ``state``: holds a checkpoint every ``save_every`` steps, from which the same call resumes; removed at the end. The output's
    files are written to a temporary folder first.
    """
    with exclusive(state):
        spec = canonical(tiny_base=settings, template=template, code=code)
        _build(settings, template, output, state, workers, save_every, spec)
        shutil.rmtree(state)


def _build(settings: TinyBase, template: str, output: Path, state: Path, workers: int, save_every: int, spec: str) -> None:
    countdown = settings.countdown
    tokenizer = tokenizers.build(template, countdown.template if countdown else None)
    batches = Batches(tokenizer.to_str(), template, settings)
    vocabulary = tokenizer.get_vocab()
    end, pad = vocabulary[tokenizers.END], vocabulary[tokenizers.PAD]
    model = new_model(settings, tokenizer.get_vocab_size(), end, pad)
    Run(model, batches, settings, spec, state, workers, save_every).train()
    model.generation_config = GenerationConfig(do_sample=True, eos_token_id=end, pad_token_id=pad)
    with staged(output) as folder:
        model.to(torch.bfloat16).save_pretrained(folder)  # type: ignore[arg-type]  # transformers' wrapper of `to` forgets `self`
        tokenizers.save(tokenizer, folder, LONGEST)
        shutil.copyfile(state / "metrics.jsonl", folder / "metrics.jsonl")
        write_json(folder / "spec.json", json.loads(spec))
