"""Losses, by hand."""

from math import exp, log

import pytest
import torch

from fofg.training.losses import aggregate, kl_divergence, policy_loss


def test_aggregation():
    """Losses 1, 2, 3 of one sequence and 8 of another: 14 / 4 by token, (2 + 8) / 2 by sequence. Masked values don't count."""
    values, mask = torch.tensor([[1.0, 2.0, 3.0], [9.0, 8.0, 9.0]]), torch.tensor([[1, 1, 1], [0, 1, 0]])
    for mode, loss in (("token-mean", 3.5), ("seq-mean-token-mean", 5.0)):
        assert aggregate(values, mask, mode, tokens=4, rows=2).item() == loss
        parts = [aggregate(values[row : row + 1], mask[row : row + 1], mode, tokens=4, rows=2).item() for row in (0, 1)]
        assert sum(parts) == loss


def test_policy_loss():
    """Bounds 0.8 and 1.3, ratios 1, 1.5 and 0.5: clipped where that lowers the objective."""
    old = torch.tensor([[-1.0, -1.0, -1.0], [-1.0, -1.0, -1.0]])
    log_probs = old + torch.tensor([log(1.0), log(1.5), log(0.5)])
    loss, clipped = policy_loss(log_probs, old, torch.tensor([[2.0], [-2.0]]), 0.2, 0.3)
    assert loss.flatten().tolist() == pytest.approx([-2.0, -2.6, -1.0, 2.0, 3.0, 1.6])
    assert clipped.tolist() == [[False, True, False], [False, False, True]]


def test_kl_divergence():
    """d = 0, log 2, -log 2: 0, 2 - log 2 - 1, 0.5 + log 2 - 1; bounded by 10."""
    log_probs = torch.tensor([[-3.0, -3.0, -3.0, -9.0]])
    reference = log_probs + torch.tensor([0.0, log(2), -log(2), 5.0])
    assert exp(5) - 5 - 1 > 10
    assert kl_divergence(log_probs, reference)[0].tolist() == pytest.approx([0, 1 - log(2), log(2) - 0.5, 10], abs=1e-6)


def test_the_mean_of_the_estimate_is_the_kl_divergence():
    """Over all tokens of a vocabulary, weighted by their probability."""
    policy, reference = (0.5 * torch.randn(2, 50, generator=torch.Generator().manual_seed(1))).log_softmax(-1)
    expected = float((policy.exp() * (policy - reference)).sum())
    assert float((policy.exp() * kl_divergence(policy, reference)).sum()) == pytest.approx(expected, rel=1e-4)
