"""Key/value cache for decoding that grows in blocks and whose rows can be repeated or dropped."""

import torch
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer

BLOCK = 64


class BlockLayer(DynamicLayer):
    """Layer that writes into a buffer which grows in blocks, and attends to its filled part only.

    The usual dynamic layer copies all keys and values for every token; a static one also attends to empty positions.
    """

    keys: torch.Tensor  # after the first update
    values: torch.Tensor
    buffers: list[torch.Tensor]

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.dtype, self.device = key_states.dtype, key_states.device
            self.buffers = [state.new_empty((*state.shape[:2], 0, state.shape[3])) for state in (key_states, value_states)]
            self.keys, self.values = self.buffers
            self.is_initialized = True
        start = self.keys.shape[-2]
        end = start + key_states.shape[-2]
        if end > self.buffers[0].shape[-2]:
            self._rebuild(end)
        self.keys, self.values = (buffer[:, :, :end] for buffer in self.buffers)
        self.keys[:, :, start:] = key_states
        self.values[:, :, start:] = value_states
        return self.keys, self.values

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Select the rows ``beam_idx``, any number of them in any order."""
        self._rebuild(self.keys.shape[-2], beam_idx)

    def _rebuild(self, length: int, rows: torch.Tensor | None = None) -> None:
        filled = self.keys.shape[-2]
        capacity = -(-length // BLOCK) * BLOCK
        for number, state in enumerate((self.keys, self.values)):
            selected = state if rows is None else state.index_select(0, rows)
            self.buffers[number] = state.new_empty((selected.shape[0], selected.shape[1], capacity, selected.shape[3]))
            self.buffers[number][:, :, :filled] = selected
        self.keys, self.values = (buffer[:, :, :filled] for buffer in self.buffers)


def decoding_cache(config: PreTrainedConfig) -> DynamicCache:
    """Return an empty cache for a model; layers of other kinds than plain attention (sliding windows, states) stay as they are."""
    cache = DynamicCache(config=config)
    cache.layers = [BlockLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
