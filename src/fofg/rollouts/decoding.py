"""Decode with a model in memory, on a CPU or a GPU.

A prompt is read once for all its samples (its keys and values are repeated), and finished rows leave the batch. The settings alone
determine the tokens: a model's own generation defaults (top-k, penalties) are not used, only its end tokens.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch

from fofg.config import Rollouts
from fofg.data.schemas import Message
from fofg.models import diverged
from fofg.models.chat_templates import render
from fofg.rollouts.cache import decoding_cache
from fofg.rollouts.cuda_graphs import GraphDecoder, supports
from fofg.rollouts.engine import Request
from fofg.rollouts.sampling import choose

#: Finished rows leave the batch when at most this share of it is still running: copying the cache for each would cost more.
DROP_BELOW = 0.8


class Response(NamedTuple):
    """Token ids [tokens], including the end token; reason ``length``: cut at the limit, without one."""

    tokens: torch.Tensor
    finish_reason: Literal["stop", "length"]


class Decoder:
    """Samples from a model's current weights. Equal requests give equal responses on the same machine and number of threads.

    ``model``: must be in evaluation mode during generation; ``end_tokens``: any of them ends a response; ``batch_size``: sequences
    decoded at once.
    """

    def __init__(self, model, tokenizer, settings: Rollouts, end_tokens: Sequence[int], batch_size: int = 128):
        self.model, self.tokenizer, self.settings, self.batch_size = model, tokenizer, settings, batch_size
        self.device = model.device
        self.end_tokens = torch.tensor(end_tokens, device=self.device)
        self.graphs = GraphDecoder(model, settings, self.end_tokens, len(tokenizer)) if supports(model) else None

    def text(self, tokens: torch.Tensor) -> str:
        """Return a response's text, without special tokens."""
        return response_text(self.tokenizer, tokens)

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, int, Response]]:
        """Decode the samples in batches, in order. Yield (request, position of the seed, response) of each as it finishes."""
        rows = [(number, position) for number, request in enumerate(requests) for position in range(len(request.seeds))]
        for start in range(0, len(rows), self.batch_size):
            yield from self._decode(requests, rows[start : start + self.batch_size])

    @torch.inference_mode()
    def _decode(self, requests: Sequence[Request], rows: list[tuple[int, int]]) -> Iterator[tuple[int, int, Response]]:
        """Decode one batch: read every prompt once, then add one token per step. ``rows``: (request, position of the seed)."""
        used = sorted({number for number, _ in rows})
        owner = torch.tensor([used.index(number) for number, _ in rows], device=self.device)
        seeds = torch.tensor([requests[number].seeds[position] for number, position in rows], device=self.device)
        logits, cache, mask = self._read(token_ids(self.tokenizer, [requests[number].prompt for number in used]))
        if self.graphs:
            for index, response, reason in self.graphs.decode(logits, cache.layers, mask, owner, seeds):
                yield *rows[index], Response(response, reason)
            return
        cache.reorder_cache(owner)
        logits, mask = logits[owner], mask[owner]
        limit = self.settings.max_response_tokens
        tokens = torch.empty((len(rows), limit), dtype=torch.int64, device=self.device)
        row = torch.arange(len(rows), device=self.device)  # the rows still in the batch
        running = torch.ones(len(rows), dtype=torch.bool, device=self.device)
        for step in range(limit):
            chosen = choose(logits, seeds, step, self.settings.temperature, self.settings.top_p)
            tokens[row, step] = chosen
            ended = running & torch.isin(chosen, self.end_tokens)
            for index in row[ended].tolist():
                yield *rows[index], Response(tokens[index, : step + 1], "stop")
            running &= ~ended
            remaining = int(running.sum())
            if remaining == 0 or step + 1 == limit:
                break
            # The noise depends on seed, step and token alone, so the others' samples don't change when finished rows leave.
            if remaining <= DROP_BELOW * len(row):
                selected = running.nonzero()[:, 0]
                cache.reorder_cache(selected)
                row, seeds, mask, chosen, running = (value[selected] for value in (row, seeds, mask, chosen, running))
            mask = torch.cat([mask, mask.new_ones((len(mask), 1))], dim=1)
            logits = self._forward(chosen[:, None], mask, mask.sum(dim=1, keepdim=True) - 1, cache)
        for index in row[running].tolist():
            yield *rows[index], Response(tokens[index], "length")

    def _read(self, prompts: list[list[int]]):
        """Read the prompts, padded on the left. Return logits, cache and mask with one row per prompt.

        Raises UserError if the model gives no finite logits.
        """
        width = max(map(len, prompts))
        ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts], device=self.device)
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=self.device)
        cache = decoding_cache(self.model.config)
        logits = self._forward(ids, mask, (mask.cumsum(dim=1) - 1).clamp(min=0), cache)
        if not logits.isfinite().all():
            raise diverged()
        return logits, cache, mask

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache) -> torch.Tensor:
        """Return the logits of the last position, over the tokenizer's vocabulary (a model's own may be padded)."""
        output = self.model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        return output.logits[:, -1, : len(self.tokenizer)]


def token_ids(tokenizer, prompts: Sequence[list[Message]]) -> list[list[int]]:
    """Return each prompt's tokens, rendered by the chat template."""
    texts = [render(tokenizer, prompt, generation_prompt=True) for prompt in prompts]
    return tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]


def response_text(tokenizer, tokens: Sequence[int] | torch.Tensor) -> str:
    """Return the text of a response's token ids, without special tokens."""
    return tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
