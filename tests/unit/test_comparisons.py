"""Paired comparisons: published p-values, intervals, correction, and the table of all pairs."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fofg.data.files import read_rows, write_parquet
from fofg.data.schemas import COMPARISONS, HELD_OUT_VERDICTS
from fofg.errors import UserError
from fofg.evaluation import tables
from fofg.evaluation.comparisons import compare, detectable, holm, sign_flip, summarize
from fofg.evaluation.seeds import two_sided
from fofg.report import differences

#: Differences in height of 15 pairs of maize plants, in eighths of an inch (Darwin 1876).
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def test_published_p_values():
    """Fisher 1935, §21: 863 of 32,768 sums are as large, and as many as small. Agresti 2002, table 10.1, by the binomial tail."""
    assert sign_flip(np.array(MAIZE)) == 2 * 863 / 2**15
    mcnemar = sum(comb(236, one) for one in range(87)) * 2 / 2**236
    assert sign_flip(np.repeat([1, -1, 0], [150, 86, 1364])) == pytest.approx(mcnemar, rel=1e-9)
    assert mcnemar == pytest.approx(3.7e-5, rel=0.02)
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=12))
def test_the_exact_p_value_is_that_of_all_signs(differences):
    signs = np.array(np.meshgrid(*[[1, -1]] * len(differences))).reshape(len(differences), -1)
    as_far = np.abs(np.array(differences) @ signs) >= abs(sum(differences))
    assert sign_flip(np.array(differences)) == pytest.approx(as_far.mean())


def test_intervals_cover_and_narrow_with_problems_and_do_not_vanish():
    few, many = (compare(np.tile([1, 0, 0, -1, 0, 1], (1, 1, n)))[0] for n in (8, 64))
    assert few.low < few.difference < few.high and few.difference == pytest.approx(1 / 6)
    assert many.high - many.low < (few.high - few.low) / 2
    assert many.high - many.low == pytest.approx(2 * 1.96 * (17 / 36 / 384) ** 0.5, rel=0.05)
    (same,) = compare(np.zeros((1, 1, 64), int))
    assert (same.difference, same.p) == (0, 1) and same.low < -0.02 and same.high > 0.02


def test_seeds_that_disagree_widen_the_interval():
    """The same mean difference over the same problems: every seed has it, or one seed alone."""
    agree, alone = np.tile([1, 0, 0], (1, 3, 30)), np.array([[[1] * 90, [0] * 90, [0] * 90]])
    (steady,), (unsteady,) = compare(agree), compare(alone)
    assert steady.difference == unsteady.difference == pytest.approx(1 / 3)
    assert steady.p < 0.001 and steady.low > 0.2
    assert unsteady.p > 0.2 and unsteady.low < -0.5


def test_models_that_differ_by_seed_alone_are_rarely_told_apart():
    """4 equal models of 3 seeds each, which move all problems of a run by chance: 5% of 95% intervals leave 0 out."""
    generator = np.random.default_rng(0)
    missed = []
    for _ in range(12):
        chance = np.clip(generator.beta(1, 1.5, 64) + generator.normal(0, 0.07, (4, 3, 1)), 0, 1)
        solved = generator.binomial(1, chance)
        found = compare(np.stack([solved[b] - solved[a] for a, b in combinations(range(4), 2)]))
        missed += [not one.low < 0 < one.high for one in found]
    assert np.mean(missed) <= 0.08


def test_a_detectable_difference_is_found_that_often():
    """128 problems, of which each is won by the first model with 0.3 and by the second with 0.1: simulated power of one test."""
    generator = np.random.default_rng(0)
    found = float(detectable(*errors((0.36 / 128) ** 0.5), 1, responses=128)[0])
    outcomes = generator.choice([1, 0, -1], p=[0.2 + found / 2, 0.6, 0.2 - found / 2], size=(400, 128))
    assert np.mean([sign_flip(row) < 0.05 for row in outcomes]) == pytest.approx(0.8, abs=0.1)
    fewest = round(64 * float(detectable(*errors(1e-9), 80, responses=64)[0]))
    assert 2 * 0.5**fewest < 0.05 / 80 <= 2 * 0.5 ** (fewest - 1)


def errors(over_problems: float, over_seeds: float = 0.0, freedom: int = 1):
    return np.array([over_problems]), np.array([over_seeds]), freedom


def test_several_seeds_find_differences_among_many_comparisons():
    """Student's t alone: 4.318 standard errors have p = 0.001 with 12 degrees of freedom, and 9.925 p = 0.01 with 2."""
    assert two_sided(np.array([4.318]), *errors(0.04, 1.0, 12)) == pytest.approx(0.001, rel=0.01)
    assert two_sided(np.array([-9.925]), *errors(0.04, 1.0, 2)) == pytest.approx(0.01, rel=0.01)
    assert two_sided(np.array([3.0 * 2**0.5]), *errors(1.0, 1.0, 10**6)) == pytest.approx(0.0026998, rel=0.01)
    far = np.tile([1, 1, 1, 0], (15, 3, 64))
    found = compare(far, comparisons=1000)[0]
    assert 1000 * found.p < 1e-6 and found.detectable < found.difference
    uneven = compare(far * np.array([1, 0, 1])[:, None], comparisons=1000)[0]
    assert 1000 * uneven.p > 0.05 and uneven.detectable > uneven.difference


def verdicts(path, correct: dict[int, list[list[int]]]):
    """Write verdicts: level -> problems -> responses, numbered through; and greedy ones that are all wrong."""
    rows, index = [], 0
    for level, problems in correct.items():
        for responses in problems:
            graded = {"index": index, "level": level, "answered": True, "truncated": False}
            rows += [graded | {"decoding": "sampled", "sample": n, "correct": bool(right)} for n, right in enumerate(responses)]
            rows.append(graded | {"decoding": "greedy", "sample": 0, "correct": False})
            index += 1
    write_parquet(path, HELD_OUT_VERDICTS, [rows])
    return path


def test_all_pairs_at_every_level(tmp_path):
    base = verdicts(tmp_path / "a", {1: [[0, 0]] * 16, 2: [[1, 0]] * 4})
    half = verdicts(tmp_path / "b", {1: [[1, 0]] * 16, 2: [[0, 0]] * 4})
    best = verdicts(tmp_path / "c", {1: [[1, 1]] * 16, 2: [[1, 0]] * 3})  # one prompt was skipped
    table = summarize(["stage1-rft", "stage2-rft-iter0", "mine"], [base, half, best])
    tables.write(table, COMPARISONS, tmp_path / "t.parquet", tmp_path / "t.csv")
    rows = list(read_rows(tmp_path / "t.parquet", COMPARISONS))
    assert [(row["level"], row["model"], row["other"], row["problems"], row["difference"]) for row in rows] == [
        (1, "stage2-rft-iter0", "stage1-rft", 16, 0.5),
        (1, "mine", "stage1-rft", 16, 1.0),
        (1, "mine", "stage2-rft-iter0", 16, 0.5),
        (2, "stage2-rft-iter0", "stage1-rft", 3, -0.5),
        (2, "mine", "stage1-rft", 3, 0.0),
        (2, "mine", "stage2-rft-iter0", 3, 0.5),
    ]
    assert [row["p"] for row in rows] == [2 / 2**16] * 3 + [0.25, 1, 0.25]
    assert rows[0]["p_holm"] == pytest.approx(6 * 2 / 2**16)
    assert [differences.verdict(row) for row in table.itertuples()] == ["the first is better"] * 3 + ["can't be told apart"] * 3
    page = differences.page(table)
    assert "| RFT, 1 iteration – Stage 1 " in page and "+50.0 (" in page and "all 6 comparisons" in page
    seeds = summarize(["stage1-rft", "mine"], [base, half, best, best])
    assert seeds["seeds"].tolist() == [2, 2] and seeds["difference"].tolist() == [0.75, 0.25]


def test_different_numbers_of_responses_are_an_error(tmp_path):
    one, two = verdicts(tmp_path / "one", {1: [[0]]}), verdicts(tmp_path / "two", {1: [[0, 1]]})
    with pytest.raises(UserError, match="two: 1 and 2 responses per problem"):
        summarize(["base", "mine"], [one, two])
    other = verdicts(tmp_path / "other", {2: [[1]]})
    with pytest.raises(UserError, match="no problem that all models answered"):
        summarize(["base", "mine"], [one, other])


def test_models_that_all_seeds_share_say_nothing_about_the_variance_between_seeds():
    """Their pairs' differences don't vary; with a third model, that makes no interval narrower."""
    own = np.stack([np.arange(64) % 2, np.arange(64) % 3 == 0]).astype(
        int
    )  # [seeds, problems] of a model; the others solve nothing
    (alone,) = compare(own[None], varying=[1])
    among = compare(np.stack([own, own, 0 * own]), varying=[1, 1, 0])
    assert among[0] == pytest.approx(alone) and among[1].error > 2 * among[2].error
    assert all(-1 <= found.low <= found.high <= 1 for found in among)


def test_a_model_without_sampled_responses_is_an_error_wherever_it_stands(tmp_path):
    files = [verdicts(tmp_path / "a", {1: [[]]}), verdicts(tmp_path / "b", {1: [[1, 0]]})]
    for paths in (files, files[::-1]):
        with pytest.raises(UserError, match="no problem that all models answered"):
            summarize(["stage1-rft", "mine"], paths)
