"""GRPO groups: advantages by hand, and dynamic sampling."""

from itertools import chain
from types import SimpleNamespace

import torch
from hypothesis import given
from hypothesis import strategies as st

from fofg.training.groups import advantages, differ, fill

REWARDS = st.sampled_from([-1.0, 0.0, 1.0])


def test_advantages_by_hand():
    """Mean 0.25, unbiased variance 2.75 / 3; mean 0.5, variance 1 / 3."""
    rewards = torch.tensor([[1.0, 1.0, 0.0, -1.0], [1.0, 0.0, 1.0, 0.0]])
    first, second = (2.75 / 3) ** 0.5 + 1e-4, (1 / 3) ** 0.5 + 1e-4
    expected = [[0.75 / first, 0.75 / first, -0.25 / first, -1.25 / first], [0.5 / second, -0.5 / second] * 2]
    assert torch.allclose(advantages(rewards, "group"), torch.tensor(expected), atol=1e-6)
    assert advantages(rewards, "none").tolist() == [[0.75, 0.75, -0.25, -1.25], [0.5, -0.5, 0.5, -0.5]]
    assert advantages(rewards, "none", 0.5).tolist() == [[0.75, 0.75, -0.125, -0.625], [0.5, -0.25, 0.5, -0.25]]


@given(st.lists(REWARDS, min_size=2, max_size=8))
def test_a_group_differs_if_an_advantage_is_not_zero(rewards):
    assert differ(rewards) == bool(advantages(torch.tensor([rewards]), "group").any())


def batches(*names_per_batch):
    """Batches of groups, each named by a letter: a capital one's rewards differ. Requesting one too many is an error."""
    for names in names_per_batch:
        yield [SimpleNamespace(name=name, rewards=(0.0, 1.0) if name.isupper() else (1.0, 1.0)) for name in names]
    raise AssertionError("one batch too many was requested")


def filled(names_per_batch, wanted, max_batches):
    kept, drawn = fill(batches(*names_per_batch), wanted, max_batches)
    names = ["".join(group.name for group in groups) for groups in (kept, chain(*drawn))]
    return (*names, len(drawn), len(kept) < wanted)


@given(st.lists(st.text("aB", min_size=1, max_size=5), min_size=1, max_size=6), st.integers(1, 9))
def test_a_step_takes_the_first_groups_that_differ(names_per_batch, wanted):
    kept, drawn, taken, short = filled(names_per_batch, wanted, len(names_per_batch))
    every = "".join(names_per_batch).replace("a", "")
    assert kept == every[:wanted] and short == (len(every) < wanted)
    assert drawn == "".join(names_per_batch[:taken])
    assert taken == len(names_per_batch) or drawn.count("B") >= wanted
    assert taken == 1 or "".join(names_per_batch[: taken - 1]).count("B") < wanted
