"""The sampler's laws: the right distribution, noise that depends on seed, position and token only."""

import math

import pytest
import torch

from fofg.rollouts.sampling import choose, gumbel
from fofg.rollouts.shards import sample_seed

LOGITS = [2.0, 1.0, 0.5, 0.0, -0.5, -1.0, -2.0, -3.0]
#: Quantiles 0.999 of chi-square, by degrees of freedom.
LIMIT = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47, 5: 20.52, 6: 22.46, 7: 24.32, 9: 27.88, 49: 85.35}
SAMPLES = 20000


def hashed_seeds(run: int) -> torch.Tensor:
    return torch.tensor([sample_seed(run, number, 0) for number in range(SAMPLES)])


def draw(seeds: torch.Tensor, position: int, temperature: float = 1.0, top_p: float = 1.0) -> torch.Tensor:
    return choose(torch.tensor([LOGITS]).expand(len(seeds), -1), seeds, position, temperature, top_p)


def chi_square(tokens: torch.Tensor, expected: torch.Tensor) -> float:
    counts = torch.bincount(tokens, minlength=len(expected)).double()
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("seeds", [hashed_seeds(1), torch.arange(SAMPLES)], ids=["hashed", "consecutive"])
@pytest.mark.parametrize("position", [0, 1, 5000])
def test_tokens_follow_the_softmax(temperature, seeds, position):
    expected = (torch.tensor(LOGITS).double() / temperature).softmax(dim=0) * SAMPLES
    assert chi_square(draw(seeds, position, temperature), expected) < LIMIT[len(LOGITS) - 1]


def test_positions_are_independent():
    tokens = draw(hashed_seeds(2), 0) * len(LOGITS) + draw(hashed_seeds(2), 1)
    single = torch.tensor(LOGITS).double().softmax(dim=0)
    kept = [a * len(LOGITS) + b for a in range(7) for b in range(7)]  # the rarest token would give cells of too few
    counts = torch.bincount(tokens, minlength=64).double()
    expected = (single[:, None] * single[None]).flatten() * SAMPLES
    rest, rest_expected = SAMPLES - counts[kept].sum(), SAMPLES - expected[kept].sum()
    statistic = ((counts - expected) ** 2 / expected)[kept].sum() + (rest - rest_expected) ** 2 / rest_expected
    assert float(statistic) < LIMIT[49]


@pytest.mark.parametrize(("top_p", "kept"), [(0.5, 1), (0.6, 2), (0.9, 4), (0.999, 8), (1e-9, 1)])
def test_top_p_keeps_the_fewest_tokens_that_reach_it(top_p, kept):
    probabilities = torch.tensor(LOGITS).double().softmax(dim=0)
    assert float(probabilities[:kept].sum()) >= top_p
    assert float(probabilities[: kept - 1].sum()) < top_p
    tokens = draw(hashed_seeds(3), 0, top_p=top_p)
    assert sorted(set(tokens.tolist())) == list(range(kept))
    if kept > 1:
        assert chi_square(tokens, probabilities[:kept] / probabilities[:kept].sum() * SAMPLES) < LIMIT[kept - 1]


def test_noise_does_not_depend_on_the_rest_of_the_batch():
    seeds = hashed_seeds(4)[:50]
    together = gumbel(seeds, 7, 400)
    assert torch.equal(together[13:14], gumbel(seeds[13:14], 7, 400))
    assert torch.equal(together[:, :100], gumbel(seeds, 7, 100))
    assert len(set(together[:, 0].tolist())) == 50


def test_noise_is_finite_and_has_the_moments_of_a_gumbel_variable():
    noise = gumbel(hashed_seeds(5), 0, 50).double()
    assert noise.isfinite().all()
    assert float(noise.mean()) == pytest.approx(0.5772157, abs=0.01)
    assert float(noise.std()) == pytest.approx(math.pi / math.sqrt(6), abs=0.01)


def test_zero_and_tiny_temperatures_are_greedy():
    logits = torch.randn(64, 30, generator=torch.Generator().manual_seed(0))
    seeds = torch.arange(64)
    for temperature in (0, 1e-6, 1e-45):
        assert torch.equal(choose(logits, seeds, 0, temperature, 1.0), logits.argmax(dim=-1))


def test_bfloat16_logits_are_sampled_in_float32():
    seeds = hashed_seeds(6)
    logits = torch.tensor([LOGITS]).expand(len(seeds), -1)
    assert torch.equal(choose(logits.bfloat16(), seeds, 0, 1.0, 0.9), choose(logits, seeds, 0, 1.0, 0.9))
