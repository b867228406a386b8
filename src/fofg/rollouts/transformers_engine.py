"""Rollouts with transformers, on a CPU or a GPU: a model's folder, decoded by ``fofg.rollouts.decoding``."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from fofg.config import Rollouts
from fofg.data.files import cure
from fofg.data.schemas import Message
from fofg.errors import UserError
from fofg.rollouts.decoding import Decoder, end_tokens, token_ids
from fofg.rollouts.engine import Request, Sample


class TransformersEngine:
    """See ``fofg.rollouts.engine.Engine``. Its results are the same each time for the same requests, machine and threads."""

    continuous = False

    def __init__(self, model: Path, settings: Rollouts, dtype: str = "auto", batch_size: int = 128):
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        if dtype == "auto":
            dtype = "bfloat16" if self.device == "cuda" else "float32"
        self.settings, self.batch_size = settings, batch_size
        self.tokenizer, self.model = _load(model, getattr(torch, dtype), self.device)
        self.positions = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        self.identity = {"device": self.device, "dtype": dtype}
        ends = end_tokens(self.model, self.tokenizer)
        if not ends:
            raise UserError(f"{model}: no end token; set eos_token_id in generation_config.json")
        self._decoder = Decoder(self.model, self.tokenizer, settings, ends, batch_size)

    def prompt_lengths(self, prompts: Sequence[list[Message]]) -> list[int]:
        return [len(ids) for ids in token_ids(self.tokenizer, prompts)]

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, int, Sample]]:
        """Each sample as it ends. Raises UserError if the GPU's memory is short."""
        try:
            for number, position, response in self._decoder.generate(requests):
                yield number, position, self._sample(response.tokens, response.finish_reason)
        except torch.OutOfMemoryError:
            raise UserError(f"rollout_engine.batch_size: {self.batch_size} sequences don't fit the GPU; lower it") from None

    def _sample(self, tokens: torch.Tensor, finish_reason: str) -> Sample:
        return Sample(self._decoder.text(tokens), finish_reason, len(tokens))


def _load(folder: Path, dtype: torch.dtype, device: str):
    """Tokenizer and model of a folder. Raises UserError if they can't be read, don't fit together, or lack a chat template."""
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no config.json; a model is a folder in Hugging Face format")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise UserError(f"{folder}: not a readable model ({str(error).strip().splitlines()[0][:200]}); {cure(folder)}") from None
    if tokenizer.chat_template is None:
        raise UserError(f"{folder}: the tokenizer has no chat template; add chat_template.jinja")
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        raise UserError(f"{folder}: the tokenizer has {len(tokenizer)} tokens, the model fewer; use files that belong together")
    return tokenizer, model.to(device).eval()
