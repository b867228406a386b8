"""The stream of problems of a phase: shares, epochs, and resuming."""

from collections import Counter
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from fofg.training.curricula import draws

MIXTURES = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.floats(0.01, 100), min_size=1, max_size=5)


def some(number, mixture, sizes, seed=1, phase=1, skip=0):
    return list(islice(draws(mixture, sizes, seed, phase, skip), number))


def sizes_of(mixture, size=7):
    return {name: size + place for place, name in enumerate(sorted(mixture))}


@given(MIXTURES, st.integers(1, 400))
def test_every_source_has_its_share_after_any_number_of_draws(mixture, number):
    counts = Counter(draw.source for draw in some(number, mixture, sizes_of(mixture)))
    total = sum(mixture.values())
    for name, weight in mixture.items():
        behind = number * weight / total - counts[name]
        assert -1 - 1e-6 < behind < max(len(mixture) - 1, 1) + 1e-6


@given(MIXTURES, st.integers(0, 5))
def test_every_epoch_of_a_source_is_a_permutation(mixture, seed):
    sizes = sizes_of(mixture)
    rows = {name: [] for name in mixture}
    for draw in some(300, mixture, sizes, seed):
        rows[draw.source].append(draw.row)
    for name, found in rows.items():
        epochs = [found[start : start + sizes[name]] for start in range(0, len(found), sizes[name])]
        for epoch in epochs[:-1]:
            assert sorted(epoch) == list(range(sizes[name]))
        assert len(set(epochs[-1])) == len(epochs[-1]) if epochs else True


@given(MIXTURES, st.integers(0, 200), st.integers(1, 3))
def test_skipped_draws_are_those_of_the_whole_stream(mixture, skip, phase):
    sizes = sizes_of(mixture)
    whole = some(skip + 20, mixture, sizes, phase=phase)
    assert some(20, mixture, sizes, phase=phase, skip=skip) == whole[skip:]
    assert [draw.number for draw in whole] == list(range(skip + 20))


def test_the_order_depends_on_seed_phase_epoch_and_source():
    def order(source="a", first=0, **others):
        mixture = {source: 1}
        return [draw.row for draw in some(50, mixture, {source: 50}, skip=first, **others)]

    orders = [order(), order(seed=2), order(phase=2), order(first=50), order(source="b")]
    assert len({tuple(found) for found in orders}) == 5
    assert all(sorted(found) == list(range(50)) for found in orders)


def test_the_order_of_a_mixture_does_not_matter():
    sizes = {"a": 5, "b": 6, "c": 7}
    assert some(99, {"a": 1, "b": 2, "c": 1}, sizes) == some(99, {"c": 1, "b": 2, "a": 1}, sizes)
