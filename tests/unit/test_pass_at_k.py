"""pass@k: the estimator against exact fractions, counts of shards, curves and their table."""

import math
from fractions import Fraction
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollout_rows import rollout

from fofg.data.files import read_rows, write_parquet
from fofg.data.schemas import PASSK_COUNTS, ROLLOUTS
from fofg.errors import UserError
from fofg.evaluation.accuracy import wilson
from fofg.evaluation.pass_at_k import curve, pass_at_k, summarize
from fofg.evaluation.verdicts import write_counts

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
RULE = "published"
RIGHT, WRONG = '{"output": "b"}', '{"output": "c"}'


def exact(samples, correct, k):
    return 1 - Fraction(math.comb(samples - correct, k), math.comb(samples, k))


counts = st.integers(1, 400).flatmap(lambda samples: st.tuples(st.just(samples), st.integers(0, samples)))


@given(counts, st.data())
def test_estimates_are_exact(case, data):
    samples, correct = case
    ks = data.draw(st.lists(st.integers(1, samples), min_size=1, max_size=6))
    found = pass_at_k(samples, correct, ks)
    assert found.tolist() == pytest.approx([float(exact(samples, correct, k)) for k in ks], rel=1e-12, abs=0)


@pytest.mark.parametrize(("samples", "correct"), [(6, 2), (7, 0), (5, 5), (8, 1)])
def test_estimates_are_means_over_all_draws(samples, correct):
    for k in range(1, samples + 1):
        draws = [min(draw) < correct for draw in combinations(range(samples), k)]
        assert pass_at_k(samples, correct, [k])[0] == pytest.approx(sum(draws) / len(draws), rel=1e-12)


@given(counts)
def test_estimates_rise_with_k(case):
    samples, correct = case
    found = pass_at_k(samples, correct, range(1, samples + 1)).tolist()
    assert found[0] == correct / samples
    assert found[-1] == (correct > 0)
    assert all(0 <= low <= high <= 1 for low, high in pairwise(found))


@pytest.mark.parametrize(
    ("samples", "correct", "k"),
    [(10**6, 1, 2), (10**6, 3, 1000), (10**6, 500_000, 3), (10**6, 999_999, 1), (10**6, 10, 10**6 - 20), (10**6, 1, 10**6 - 1)],
)
def test_a_million_samples_lose_no_digits(samples, correct, k):
    wrong = Fraction(1)
    for number in range(min(k, correct)):
        wrong *= Fraction(samples - max(k, correct) - number, samples - number)
    assert pass_at_k(samples, correct, [k])[0] == pytest.approx(float(1 - wrong), rel=1e-9, abs=0)


@given(st.lists(st.integers(0, 24), min_size=1, max_size=30))
def test_curves_rise_and_stay_in_their_intervals(correct):
    rows = curve([24] * len(correct), correct).to_dict("records")
    assert [row["k"] for row in rows] == [1, 2, 4, 8, 16, 24]
    for row in rows:
        assert 0 <= row["low"] <= row["pass_at_k"] <= row["high"] <= 1
        assert row["low"] < row["high"]
    for name in ("pass_at_k", "low", "high"):
        assert all(lower[name] <= higher[name] for lower, higher in pairwise(rows))
    assert rows[0]["pass_at_k"] == pytest.approx(sum(correct) / (24 * len(correct)))
    assert rows[-1]["pass_at_k"] == pytest.approx(sum(count > 0 for count in correct) / len(correct))


def test_curve_of_known_counts():
    first, second, fourth = curve([4, 4], [1, 0]).to_dict("records")
    assert (first["pass_at_k"], second["pass_at_k"], fourth["pass_at_k"]) == pytest.approx((0.125, 0.25, 0.5))
    assert (first["problems"], first["samples"]) == (2, 8)
    assert (fourth["low"], fourth["high"]) == wilson(0.5, 2)
    assert curve([8, 3], [1, 1])["k"].tolist() == [1, 2, 3], "up to the fewest samples"


@pytest.fixture
def shards(tmp_path):
    """Problems 0 to 3 in two files; the prompt of the third was skipped."""
    write_parquet(tmp_path / "0.parquet", ROLLOUTS, [[rollout(0, [RIGHT, WRONG, RIGHT]), rollout(1, [WRONG] * 3)]])
    write_parquet(tmp_path / "1.parquet", ROLLOUTS, [[rollout(2, [], level=2), rollout(3, [RIGHT] * 3, level=2)]])
    return [tmp_path / "0.parquet", tmp_path / "1.parquet"]


@pytest.mark.parametrize("order", [1, -1])
def test_counts_do_not_depend_on_the_order_of_shards(tmp_path, shards, order):
    assert write_counts(shards[::order], tmp_path / "c.parquet", RULE) == 4
    found = [tuple(row.values()) for row in read_rows(tmp_path / "c.parquet", PASSK_COUNTS)]
    assert found == [(0, 1, 3, 2), (1, 1, 3, 0), (2, 2, 0, 0), (3, 2, 3, 3)]


def test_a_shard_given_twice_is_named(tmp_path, shards):
    with pytest.raises(UserError, match=r"1\.parquet: problem 2 was counted before; give every shard once"):
        write_counts([*shards, shards[1]], tmp_path / "c.parquet", RULE)
    assert not (tmp_path / "c.parquet").exists()


def test_shards_of_different_settings_are_named(tmp_path, shards):
    write_parquet(tmp_path / "2.parquet", ROLLOUTS, [[rollout(4, [RIGHT])]])
    with pytest.raises(UserError, match=r"2\.parquet: problem 4 has 1 responses, those of .*0\.parquet have 3"):
        write_counts([*shards, tmp_path / "2.parquet"], tmp_path / "c.parquet", RULE)


def test_problems_without_responses_are_left_out_of_the_mean(tmp_path, shards):
    write_counts(shards, tmp_path / "c.parquet", RULE)
    table = summarize(["stage2-rl-level1", "base"], [tmp_path / "c.parquet"] * 2)
    keys = ["model", "level", "k", "problems", "samples"]
    assert table[keys].values.tolist() == [
        [model, level, k, problems, samples]
        for model in ("stage2-rl-level1", "base")
        for level, problems, samples in ((1, 2, 6), (2, 1, 3))
        for k in (1, 2, 3)
    ]
    assert table["pass_at_k"].tolist() == pytest.approx([1 / 3, 0.5, 0.5, 1, 1, 1] * 2)


def test_counts_without_responses_are_named(tmp_path):
    write_parquet(tmp_path / "c.parquet", PASSK_COUNTS, [[{"index": 0, "level": 1, "samples": 0, "correct": 0}]])
    with pytest.raises(UserError, match=r"c\.parquet: no response in it"):
        summarize(["base"], [tmp_path / "c.parquet"])
