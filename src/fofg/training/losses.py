"""Losses of fine-tuning and reinforcement learning, from token log-probabilities."""

import torch


def aggregate(values: torch.Tensor, mask: torch.Tensor, mode: str, tokens: int, rows: int) -> torch.Tensor:
    """Return a micro-batch's share of an update's mean loss; the shares of all micro-batches add up to it.

    ``values``, ``mask`` (1: counts, 0: prompt or padding): [micro-batch rows, tokens]. ``tokens``, ``rows``: of the whole update.
    ``mode``: ``token-mean`` (DAPO) weighs all tokens alike, ``seq-mean-token-mean`` (GRPO) all sequences, whatever their length.
    """
    if mode == "token-mean":
        return (values * mask).sum() / tokens
    return ((values * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)).sum() / rows


def policy_loss(
    log_probs: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor, clip_low: float, clip_high: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each token's clipped policy loss -min(r A, clip(r) A) (PPO), and whether it is clipped.

    ``log_probs``, ``old``: [rows, tokens], r being exp(log_probs - old). ``advantages``: [rows, 1].
    """
    ratio = torch.exp(log_probs - old)
    loss = -torch.min(ratio * advantages, ratio.clamp(1 - clip_low, 1 + clip_high) * advantages)
    # Clipping only matters where it removes the gradient: a good action made likelier, or a bad one less likely.
    clipped = ((ratio < 1 - clip_low) & (advantages < 0)) | ((ratio > 1 + clip_high) & (advantages > 0))
    return loss, clipped


def kl_divergence(log_probs: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Estimate each token's KL divergence from a reference model by k3: exp(d) - d - 1, d = reference - log_probs.

    Source: Schulman 2020 (http://joschu.net/blog/kl-approx.html), with the bounds of verl's ``low_var_kl``.
    """
    difference = (reference - log_probs).clamp(-20, 20)
    return (difference.exp() - difference - 1).clamp(-10, 10)
