"""Sample tokens with noise that depends only on (sample seed, position, token).

The token is the arg max of logits + Gumbel noise, which is a draw from their softmax. The noise is a hash, so a sample is the same
whatever shares its batch, and resuming needs no random state.
"""

import hashlib

import torch

_GOLDEN = -7046029254386353131  # 2**64 / golden ratio, odd, as a signed 64-bit integer (splitmix64)
_FIRST, _SECOND = -4658895280553007687, -7723592293110705685  # splitmix64's multipliers
_ALMOST_ONE = 1 - 2**-24


def sample_seed(*parts: int | str) -> int:
    """Return the seed of one sample, below 2**63: a hash of what identifies it, the same on every machine.

    ``parts`` of a rollout: run seed, problem index, sample number.
    """
    digest = hashlib.blake2b(":".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _shift(value: torch.Tensor, bits: int) -> torch.Tensor:
    """Shift int64 to the right, filling with zeros."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _mix(value: torch.Tensor) -> torch.Tensor:
    """Apply the finalizer of splitmix64 (Steele, Lea & Flood 2014) to int64; multiplication wraps."""
    value = (value ^ _shift(value, 30)) * _FIRST
    value = (value ^ _shift(value, 27)) * _SECOND
    return value ^ _shift(value, 31)


def gumbel(seeds: torch.Tensor, position: int | torch.Tensor, tokens: int) -> torch.Tensor:
    """Return standard Gumbel noise, float32 [samples, tokens], for int64 seeds [samples] at a position of the response."""
    stream = _mix(_mix(seeds) + position)
    counters = torch.arange(1, tokens + 1, device=seeds.device) * _GOLDEN
    bits = _shift(_mix(stream[:, None] + counters), 1)
    uniform = (bits.to(torch.float32) * 2**-63).clamp_(2**-64, _ALMOST_ONE)
    return -torch.log(-torch.log1p(-uniform))


def keep_nucleus(scores: torch.Tensor, top_p: float) -> torch.Tensor:
    """Mask all but the fewest most probable tokens whose probabilities sum to at least ``top_p`` with -inf."""
    ordered, order = scores.sort(dim=-1, descending=True, stable=True)
    probabilities = ordered.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities
    dropped = before >= top_p
    dropped[:, 0] = False
    return scores.masked_fill(dropped.scatter(1, order, dropped), float("-inf"))


def choose(
    logits: torch.Tensor, seeds: torch.Tensor, position: int | torch.Tensor, temperature: float, top_p: float
) -> torch.Tensor:
    """Return token ids [samples] for logits [samples, tokens]; temperature 0 takes the most probable (the first of equals)."""
    if temperature == 0:
        return logits.argmax(dim=-1)
    scores = logits.to(torch.float32)
    scores = (scores - scores.amax(dim=-1, keepdim=True)) / temperature
    if top_p < 1:
        scores = keep_nucleus(scores, top_p)
    return (scores + gumbel(seeds, position, scores.shape[-1])).argmax(dim=-1)
