"""Rollouts with transformers, on a CPU or a GPU: a model's folder, decoded by ``fofg.rollouts.decoding``."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import torch

from fofg import models
from fofg.config import Rollouts
from fofg.data.schemas import Message
from fofg.errors import UserError
from fofg.models import weights
from fofg.rollouts.decoding import Decoder, token_ids
from fofg.rollouts.engine import Request, Sample


class TransformersEngine:
    """See ``fofg.rollouts.engine.Engine``. Results are reproducible on the same machine and number of threads."""

    continuous = False

    def __init__(self, model: Path, settings: Rollouts, dtype: str = "auto", batch_size: int = 128):
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        if dtype == "auto":
            dtype = "bfloat16" if self.device == "cuda" else "float32"
        self.settings, self.batch_size = settings, batch_size
        self.tokenizer, self.model = _load(model, getattr(torch, dtype), self.device)
        self.positions = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        self.identity = {"device": self.device, "dtype": dtype}
        ends = models.end_tokens(model, self.tokenizer)
        self.decoder = Decoder(self.model, self.tokenizer, settings, ends, batch_size)

    def prompt_lengths(self, prompts: Sequence[list[Message]]) -> list[int]:
        return [len(ids) for ids in token_ids(self.tokenizer, prompts)]

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, int, Sample]]:
        """Yield each sample as it ends. Raises UserError if the GPU's memory is short."""
        try:
            for number, position, response in self.decoder.generate(requests):
                yield number, position, self._sample(response.tokens, response.finish_reason)
        except torch.OutOfMemoryError:
            raise UserError(f"rollout_engine.batch_size: {self.batch_size} sequences don't fit the GPU; lower it") from None

    def _sample(self, tokens: torch.Tensor, finish_reason: Literal["stop", "length"]) -> Sample:
        return Sample(self.decoder.text(tokens), finish_reason, len(tokens))


def _load(folder: Path, dtype: torch.dtype, device: str):
    """Load tokenizer and model of a folder. Raises UserError if they can't be read, don't fit, or lack a chat template."""
    models.check(folder)
    tokenizer = models.load_chat_tokenizer(folder)
    return tokenizer, weights.load(folder, dtype).to(device).eval()
