"""Roll-outs with transformers, on a CPU or a GPU.

A prompt is read once for all its samples (its keys and values are repeated), and rows that have finished leave the batch. Nothing
but the settings decides the tokens: a model's own generation defaults (top-k, penalties) are not used, only its end tokens.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from fofg.config import Rollouts
from fofg.errors import UserError
from fofg.problems.prompts import Message
from fofg.rollouts.cache import decoding_cache
from fofg.rollouts.engine import Request, Sample
from fofg.rollouts.sampling import choose

#: Finished rows leave the batch once no more than this share of it still runs.
DROP_BELOW = 0.8


class TransformersEngine:
    """See ``fofg.rollouts.engine.Engine``. Its results are the same each time for the same requests, machine and threads."""

    def __init__(self, model: Path, settings: Rollouts, dtype: str = "auto", batch_size: int = 128):
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        if dtype == "auto":
            dtype = "bfloat16" if self.device == "cuda" else "float32"
        self.settings, self.batch_size = settings, batch_size
        self.tokenizer, self.model = _load(model, getattr(torch, dtype), self.device)
        self.positions = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        self.end_tokens = torch.tensor(_end_tokens(self.model, self.tokenizer, model), device=self.device)
        self.identity = {"device": self.device, "dtype": dtype}

    def prompt_lengths(self, prompts: Sequence[list[Message]]) -> list[int]:
        return [len(ids) for ids in self._token_ids(prompts)]

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, int, Sample]]:
        """Cuts the samples, in order, into batches; yields each as it ends. Raises UserError if the GPU's memory is short."""
        rows = [(number, position) for number, request in enumerate(requests) for position in range(len(request.seeds))]
        try:
            for start in range(0, len(rows), self.batch_size):
                yield from self._decode(requests, rows[start : start + self.batch_size])
        except torch.OutOfMemoryError:
            raise UserError(f"rollout_engine.batch_size: {self.batch_size} sequences don't fit the GPU; lower it") from None

    def _token_ids(self, prompts: Sequence[list[Message]]) -> list[list[int]]:
        texts = [self.tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True) for prompt in prompts]
        return self.tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]

    @torch.inference_mode()
    def _decode(self, requests: Sequence[Request], rows: list[tuple[int, int]]) -> Iterator[tuple[int, int, Sample]]:
        """One batch: every prompt once, then a token a step for each running row. ``rows``: (request, position of the seed)."""
        used = sorted({number for number, _ in rows})
        owner = torch.tensor([used.index(number) for number, _ in rows], device=self.device)
        seeds = torch.tensor([requests[number].seeds[position] for number, position in rows], device=self.device)
        logits, cache, mask = self._read(self._token_ids([requests[number].prompt for number in used]), owner)
        limit = self.settings.max_response_tokens
        tokens = torch.empty((len(rows), limit), dtype=torch.int64, device=self.device)
        row = torch.arange(len(rows), device=self.device)  # the rows still in the batch
        running = torch.ones(len(rows), dtype=torch.bool, device=self.device)
        for step in range(limit):
            chosen = choose(logits, seeds, step, self.settings.temperature, self.settings.top_p)
            tokens[row, step] = chosen
            ended = running & torch.isin(chosen, self.end_tokens)
            for index in row[ended].tolist():
                yield *rows[index], self._sample(tokens[index, : step + 1], "stop")
            running &= ~ended
            left = int(running.sum())
            if left == 0 or step + 1 == limit:
                break
            if left <= DROP_BELOW * len(row):
                kept = running.nonzero()[:, 0]
                cache.reorder_cache(kept)
                row, seeds, mask, chosen, running = (value[kept] for value in (row, seeds, mask, chosen, running))
            mask = torch.cat([mask, mask.new_ones((len(mask), 1))], dim=1)
            logits = self._forward(chosen[:, None], mask, mask.sum(dim=1, keepdim=True) - 1, cache)
        for index in row[running].tolist():
            yield *rows[index], self._sample(tokens[index], "length")

    def _read(self, prompts: list[list[int]], owner: torch.Tensor):
        """Reads the prompts, padded on the left. Returns logits, cache and mask with a row for each entry of ``owner``."""
        width = max(map(len, prompts))
        ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts], device=self.device)
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=self.device)
        cache = decoding_cache(self.model.config)
        logits = self._forward(ids, mask, (mask.cumsum(dim=1) - 1).clamp(min=0), cache)
        cache.reorder_cache(owner)
        return logits[owner], cache, mask[owner]

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache) -> torch.Tensor:
        """Logits of the last position, over the tokenizer's vocabulary (a model's own may be padded)."""
        output = self.model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        return output.logits[:, -1, : len(self.tokenizer)]

    def _sample(self, tokens: torch.Tensor, finish_reason: str) -> Sample:
        text = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return Sample(text, finish_reason, len(tokens))


def _load(folder: Path, dtype: torch.dtype, device: str):
    """Tokenizer and model of a folder. Raises UserError if they can't be read, don't fit together, or lack a chat template."""
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no config.json; a model is a folder in Hugging Face format")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise UserError(f"{folder}: not a readable model ({str(error).strip().splitlines()[0][:200]}); make it again") from None
    if tokenizer.chat_template is None:
        raise UserError(f"{folder}: the tokenizer has no chat template; add chat_template.jinja")
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        raise UserError(f"{folder}: the tokenizer has {len(tokenizer)} tokens, the model fewer; use files that belong together")
    return tokenizer, model.to(device).eval()


def _end_tokens(model, tokenizer, folder: Path) -> list[int]:
    ends = {tokenizer.eos_token_id}
    configured = model.generation_config.eos_token_id
    ends.update(configured if isinstance(configured, list) else [configured])
    ends.discard(None)
    if not ends:
        raise UserError(f"{folder}: no end token; set eos_token_id in generation_config.json")
    return sorted(ends)
