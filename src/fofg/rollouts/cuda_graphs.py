"""Decode on a GPU with CUDA graphs: the few hundred kernels of a step are launched at once.

A graph needs shapes and addresses that stay the same. So the batch lies in buffers, and a step computes on their first rows and
first slots, numbers that are rounded up; a graph is captured when such a pair of numbers comes up first. Training changes weights
in place, so a policy's graphs last for the whole run.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from tqdm import tqdm
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from fofg.config import Rollouts
from fofg.rollouts.cache import BlockLayer
from fofg.rollouts.sampling import choose

#: Slots (positions in the cache) are rounded up to a multiple of this; rows to a power of two, at least MIN_ROWS.
SLOTS, MIN_ROWS = 128, 8
#: Steps between two looks at which rows have ended: a look waits for the GPU.
STEPS = 16
#: Position embeddings that depend on the data; a graph can't hold them.
_DYNAMIC = {"dynamic", "longrope"}


def supports(network) -> bool:
    """Return whether a model's steps can be graphs: on a GPU, plain attention in every layer, fixed position embeddings."""
    config = network.config.get_text_config()
    plain = all(type(layer) is DynamicLayer for layer in DynamicCache(config=network.config).layers)
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    return network.device.type == "cuda" and plain and rope not in _DYNAMIC and config._attn_implementation == "sdpa"


class FixedLayer(DynamicLayer):
    """Layer of a cache that writes a token's keys and values to one slot of its buffers [rows, heads, slots, width]."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, slot: torch.Tensor):
        super().__init__()
        self.keys, self.values, self.slot = keys, values, slot
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs) -> tuple[torch.Tensor, torch.Tensor]:
        _put(self.keys, 2, self.slot, key_states.to(self.keys.dtype))
        _put(self.values, 2, self.slot, value_states)
        return self.keys, self.values


class GraphDecoder:
    """Decodes batches of prompts that were read. One for each model and settings, since it holds the graphs.

    ``vocabulary``: tokens of the tokenizer (a model's own may be padded); ``capture``: False computes each step as it is, on any
    device.
    """

    def __init__(self, network, settings: Rollouts, end_tokens: torch.Tensor, vocabulary: int, capture: bool = True):
        self.network, self.settings, self.end_tokens, self.vocabulary = network, settings, end_tokens, vocabulary
        self.capture = capture
        self.rows = self.slots = 0  # of the buffers
        self.graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}

    def decode(
        self, logits: torch.Tensor, layers: Sequence[BlockLayer], mask: torch.Tensor, owner: torch.Tensor, seeds: torch.Tensor
    ) -> Iterator[tuple[int, torch.Tensor, Literal["stop", "length"]]]:
        """Yield row, tokens [tokens] and finish reason of every row, soon after it ends.

        ``logits`` [prompts, vocabulary], ``layers`` of the cache and ``mask`` [prompts, width]: of the prompts, padded on the
        left; ``owner`` [rows]: each row's prompt; ``seeds`` [rows].
        """
        limit, width, rows = self.settings.max_response_tokens, mask.shape[1], list(range(len(owner)))
        self._load(logits, layers, mask, owner, seeds)
        looked, written = 0, 1
        running = set(rows)
        while True:
            tokens, ended, lengths = self._look(len(rows), looked, written)
            for index, row in enumerate(rows):
                if row in running and ended[index]:
                    yield row, tokens[index, : lengths[index]].clone(), "stop"
                    running.remove(row)
            if not running or written == limit:
                break
            if _rows(len(running)) < _rows(len(rows)):
                rows = self._drop([index for index, row in enumerate(rows) if row in running], rows)
            steps = min(STEPS, limit - written)
            self._run(len(rows), width + written - 1, written, steps)
            looked, written = written, written + steps
        for index, row in enumerate(rows):
            if row in running:
                yield row, tokens[index].clone(), "length"

    def _load(self, logits, layers: Sequence[BlockLayer], mask, owner, seeds) -> None:
        """Put prompts into the buffers, and choose the first token of each row."""
        rows, width = len(owner), mask.shape[1]
        if _rows(rows) > self.rows or width + STEPS > self.slots:
            self._allocate(layers, max(self.rows, _rows(rows)), max(self.slots, _slots(width + STEPS)))
        for (keys, values), layer in zip(self.buffers, layers):
            keys[:rows, :, :width] = layer.keys[owner]
            values[:rows, :, :width] = layer.values[owner]
        self.padding.zero_()  # of spare rows, too: a row of an earlier batch may have more than this one's slots
        self.padding[:rows, 0] = (width - mask.sum(dim=1))[owner]
        self.seeds[:rows] = seeds
        chosen = choose(logits[owner], seeds, 0, self.settings.temperature, self.settings.top_p)
        self.ids[:rows, 0] = self.tokens[:rows, 0] = chosen

    def _allocate(self, layers: Sequence[BlockLayer], rows: int, slots: int) -> None:
        """Make empty buffers, of zeros: in slots that the mask hides, anything but a finite number would spoil a sum."""
        device, limit = self.network.device, self.settings.max_response_tokens
        self.graphs, self.rows, self.slots, self.buffers = {}, rows, slots, []
        for layer in layers:
            # Autocast leaves keys in float32, and rounds them before they are used: here they are rounded once.
            shapes = [(rows, state.shape[1], slots, state.shape[3]) for state in (layer.keys, layer.values)]
            self.buffers.append([torch.zeros(shape, dtype=layer.values.dtype, device=device) for shape in shapes])
        self.ids, self.padding = (torch.zeros((rows, 1), dtype=torch.int64, device=device) for _ in range(2))
        self.slot, self.position = (torch.zeros(1, dtype=torch.int64, device=device) for _ in range(2))
        self.seeds = torch.zeros(rows, dtype=torch.int64, device=device)
        self.tokens = torch.zeros((rows, limit), dtype=torch.int64, device=device)

    def _grow(self, slots: int) -> None:
        """Make room for more slots, and keep what was written."""
        self.graphs, self.slots = {}, max(slots, 2 * self.slots)
        for number, states in enumerate(self.buffers):
            grown = [state.new_zeros((*state.shape[:2], self.slots, state.shape[3])) for state in states]
            for new, old in zip(grown, states):
                new[:, :, : old.shape[2]] = old
            self.buffers[number] = grown

    def _drop(self, kept: list[int], rows: list[int]) -> list[int]:
        """Move the rows at the places ``kept`` to the front."""
        chosen = torch.tensor(kept, device=self.network.device)
        states = (state for states in self.buffers for state in states)
        for buffer in (*states, self.ids, self.padding, self.seeds, self.tokens):
            buffer[: len(kept)] = buffer[chosen]
        return [rows[index] for index in kept]

    def _look(self, rows: int, start: int, end: int) -> tuple[torch.Tensor, list[bool], list[int]]:
        """Return tokens 0..end - 1 of the rows, whether each has an end token from ``start`` on, and its length with the first."""
        tokens = self.tokens[:rows, :end].cpu()
        ends = torch.isin(tokens[:, start:], self.end_tokens.cpu())
        return tokens, ends.any(dim=1).tolist(), (ends.long().argmax(dim=1) + start + 1).tolist()

    def _run(self, rows: int, slot: int, position: int, steps: int) -> None:
        """Add ``steps`` tokens to the first rows. ``slot``: of the last token that was chosen; ``position``: of the next one."""
        if slot + steps > self.slots:
            self._grow(_slots(slot + steps))
        self.slot.fill_(slot)
        self.position.fill_(position)
        size = _rows(rows), _slots(slot + steps)
        if self.capture and size not in self.graphs:
            self._step(*size)  # loads kernels and libraries, which can't be done during a capture
            steps -= 1
            self._capture(size)
        for _ in range(steps):
            self.graphs[size].replay() if self.capture else self._step(*size)

    def _capture(self, size: tuple[int, int]) -> None:
        """Record a step as a graph; it is not executed. All graphs share memory: they run one after the other."""
        graph = torch.cuda.CUDAGraph()
        pool = next(iter(self.graphs.values())).pool() if self.graphs else None
        try:
            with torch.cuda.graph(graph, pool=pool):
                self._step(*size)
        except RuntimeError as error:
            # Some architectures look at values on the CPU within a step, such as mixtures of experts.
            tqdm.write(f"decoding without CUDA graphs, which is slower: {str(error).splitlines()[0]}", file=sys.stderr)
            self.capture, self.graphs = False, {}
        else:
            self.graphs[size] = graph

    def _step(self, rows: int, slots: int) -> None:
        """Compute the next token of the first rows from the first slots."""
        kind = self.network.device.type
        ids, padding, seeds = self.ids[:rows], self.padding[:rows], self.seeds[:rows]
        layers = [FixedLayer(keys[:rows, :, :slots], values[:rows, :, :slots], self.slot) for keys, values in self.buffers]
        cache = DynamicCache(config=self.network.config)
        cache.layers = layers  # type: ignore[assignment]
        places = torch.arange(slots, device=ids.device)
        mask = (places >= padding) & (places <= self.slot)
        # Autocast's copies of the weights in bfloat16 would be those of the capture for ever.
        autocast = torch.autocast(
            kind, dtype=torch.get_autocast_dtype(kind), enabled=torch.is_autocast_enabled(kind), cache_enabled=False
        )
        with autocast:
            output = self.network(
                input_ids=ids,
                attention_mask=mask[:, None, None],
                position_ids=self.slot - padding,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            logits = output.logits[:, -1, : self.vocabulary]
            chosen = choose(logits, seeds, self.position, self.settings.temperature, self.settings.top_p)
        _put(self.tokens[:rows], 1, self.position, chosen[:, None])
        ids.copy_(chosen[:, None])
        self.slot += 1
        self.position += 1


def _rows(number: int) -> int:
    return max(MIN_ROWS, 1 << (number - 1).bit_length())


def _slots(number: int) -> int:
    return math.ceil(number / SLOTS) * SLOTS


def _put(buffer: torch.Tensor, dim: int, index: torch.Tensor, values: torch.Tensor) -> None:
    """Write values at one index. Deterministic algorithms would sort the indices first, which takes longer than the rest."""
    enabled, warn_only = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    buffer.index_copy_(dim, index, values)
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
