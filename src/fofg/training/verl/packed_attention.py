"""Attention over packed rows with PyTorch's own kernel, where the package flash-attn is not installed.

verl trains on the sequences of a micro-batch in one row (``use_remove_padding``). Without flash-attn, attention ``sdpa`` computes
all pairs of its tokens and masks those of different sequences. This one, registered with transformers as ``varlen``, computes each
sequence alone (torch.nn.attention.varlen). verl imports the module by name; so must all that read a checkpoint's configuration.
"""

from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import ref

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import flash_attention_mask

NAME = "varlen"
#: Keywords of transformers' attention functions that change the result in ways that are not computed here.
_UNSUPPORTED = ("sliding_window", "softcap", "s_aux")


class Sequences(NamedTuple):
    """Where packed sequences begin, and where the last one ends, [sequences + 1]; the length of the longest."""

    bounds: Tensor
    longest: int


class _Latest(NamedTuple):
    """The positions of the last call, which all layers share: to look at them again, the CPU would wait for the GPU."""

    positions: Callable[[], Tensor | None]
    version: int
    sequences: Sequences


_latest: _Latest | None = None


def sequences(position_ids: Tensor) -> Sequences:
    """Find the sequences of a packed row: each begins where ``position_ids`` [1, tokens] is 0."""
    global _latest
    if _latest and _latest.positions() is position_ids and _latest.version == position_ids._version:
        return _latest.sequences
    starts = (position_ids[0] == 0).nonzero().flatten()
    bounds = torch.cat([starts, starts.new_tensor([position_ids.shape[1]])]).int()
    result = Sequences(bounds, int(bounds.diff().max()))
    _latest = _Latest(ref(position_ids), position_ids._version, result)
    return result


def attend(
    module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others,
) -> tuple[Tensor, None]:
    """Return the causal attention [1, tokens, heads, size] within each packed sequence.

    ``query``: [1, heads, tokens, size]; ``key`` and ``value`` may have fewer heads. On a GPU it is computed in 16 bits. Raises
    ValueError for what is not computed: padding, more than one row, dropout, sliding windows and the like.
    """
    positions = others.get("position_ids")
    given = [name for name in _UNSUPPORTED if others.get(name) is not None] + ["dropout"] * bool(dropout)
    if given or attention_mask is not None or positions is None or positions.shape != (1, query.shape[2]):
        what = given[0] if given else "rows that are not packed"
        raise ValueError(f"attention varlen has no {what}; set training.verl.attention: sdpa")
    query, key, value = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    if (groups := query.shape[1] // key.shape[1]) > 1:
        key, value = (tensor.repeat_interleave(groups, dim=1) for tensor in (key, value))
    compute = _with_kernel if query.is_cuda else _one_by_one
    return compute(query, key, value, sequences(positions), scaling).unsqueeze(0), None


def _with_kernel(query: Tensor, key: Tensor, value: Tensor, packed: Sequences, scaling: float | None) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    dtype = torch.bfloat16 if query.dtype == torch.float32 else query.dtype
    bounds, longest = packed
    q, k, v = (tensor.to(dtype) for tensor in (query, key, value))
    result: Any = varlen_attn(q, k, v, bounds, bounds, longest, longest, scale=scaling, window_size=(-1, 0))
    return result.to(query.dtype)


def _one_by_one(query: Tensor, key: Tensor, value: Tensor, packed: Sequences, scaling: float | None) -> Tensor:
    """Compute the same on a CPU, which has no such kernel."""
    split = (tensor.transpose(0, 1).tensor_split(packed.bounds[1:-1].cpu().long(), dim=1) for tensor in (query, key, value))
    results = [scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling) for q, k, v in zip(*split)]
    return torch.cat(results, dim=1).transpose(0, 1)


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, flash_attention_mask)  # makes no mask, unless there is padding
