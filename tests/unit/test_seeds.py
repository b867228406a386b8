"""Repetitions of the experiment with other seeds: what differs between them, and their mean."""

from statistics import fmean

import pandas as pd
import pytest
from configs import DEFAULT, nested, value_of

from fofg.config import keys, load, read
from fofg.config.seeds import SHIFTED, STEP, with_seed
from fofg.evaluation.accuracy import wilson
from fofg.evaluation.seeds import over_seeds

#: Seeds that all repetitions share: of problems and their order, of what is measured, and of the embedded base.
SHARED = {
    "problems.seed",
    "countdown.seed",
    "stage0.seed",
    "evaluation.rollouts.seed",
    "passk.rollouts.seed",
    "countdown.test_rollouts.seed",
    "tiny_base.seed",
}


def test_a_repetition_has_other_seeds_of_training_and_nothing_else():
    settings = load(read([DEFAULT]))
    assert with_seed(settings, 0) == settings
    other = with_seed(settings, 2)
    every = list(keys(settings.model_dump(mode="json")))
    changed = {key for key in every if value_of(other, key) != value_of(settings, key)}
    assert changed == {*SHIFTED} == {key for key in every if key.endswith(".seed")} - SHARED
    assert all(value_of(other, key) == value_of(settings, key) + 2 * STEP for key in SHIFTED)


@pytest.mark.parametrize(("seeds", "message"), [([], "at least 1"), ([1, 1], "a seed occurs twice"), ([-1], "greater than")])
def test_seeds_are_distinct_numbers(seeds, message):
    with pytest.raises(Exception, match=message):
        load(read([DEFAULT]) | nested({"seeds": seeds}))


def row(seed: int, accuracy: float, model: str = "stage1-rft") -> dict:
    low, high = wilson(accuracy, 100)
    counts = {"problems": 100, "samples": 100, "correct": round(100 * accuracy)}
    return {"model": model, "seed": seed, "level": 2, **counts, "accuracy": accuracy, "low": low, "high": high}


def test_one_seed_keeps_its_interval_and_the_order_of_models():
    table = pd.DataFrame([row(3, 0.0), row(0, 0.4, "base")])
    mean = over_seeds(table, ["level"], "accuracy")
    assert mean["model"].tolist() == ["stage1-rft", "base"]
    assert mean[table.columns.drop("seed")].equals(table.drop(columns="seed"))


def test_the_interval_of_several_seeds_joins_problems_and_seeds():
    """Student's t with 2 degrees of freedom: 4.303 standard errors."""
    same = over_seeds(pd.DataFrame([row(seed, 0.5) for seed in range(3)]), ["level"], "accuracy").loc[0]
    assert (same["seeds"], same["problems"], same["samples"]) == (3, 100, 300)
    assert (same["low"], same["high"]) == pytest.approx(wilson(0.5, 100))
    apart = over_seeds(pd.DataFrame([row(seed, share) for seed, share in enumerate((0.49, 0.5, 0.51))]), ["level"], "accuracy").loc[
        0
    ]
    assert apart["accuracy"] == pytest.approx(0.5)
    reach = (4.303 * 0.01 / 3**0.5) ** 2
    assert (apart["high"] - 0.5) ** 2 - reach == pytest.approx((same["high"] - 0.5) ** 2, abs=1e-5)


def test_the_variance_between_seeds_is_pooled_over_the_models_that_have_one():
    """Three models, 4 degrees of freedom: 2.776 standard errors of the mean variance; the base is one for all seeds."""
    shares = {"base": (0.5,) * 3, "stage1-rft": (0.49, 0.5, 0.51), "rft": (0.5, 0.5, 0.5), "rl": (0.48, 0.5, 0.52)}
    rows = [row(seed, share, model) for model, several in shares.items() for seed, share in enumerate(several)]
    rows += [row(seed, 0.3 + 0.1 * seed, "rft") | {"level": 3} for seed in range(3)]
    mean = over_seeds(pd.DataFrame(rows), ["level"], "accuracy").set_index(["model", "level"])
    assert mean.loc[("base", 2), ["low", "high"]].tolist() == pytest.approx(wilson(0.5, 100))
    reaches = [mean.loc[(model, 2), "high"] - 0.5 for model in ("stage1-rft", "rft", "rl")]
    error = 2.776 * ((0.01**2 + 0 + 0.02**2) / 3 / 3) ** 0.5
    assert reaches == pytest.approx([((wilson(0.5, 100)[1] - 0.5) ** 2 + error**2) ** 0.5] * 3, abs=1e-4)
    # At Level 3 there is one model alone: 2 degrees of freedom.
    alone, own = mean.loc[("rft", 3)], fmean(wilson(0.3 + 0.1 * seed, 100)[1] for seed in range(3))
    reach = (own - 0.4) ** 2 + (4.303 * 0.1 / 3**0.5) ** 2
    assert alone["high"] - 0.4 == pytest.approx(reach**0.5, abs=1e-4)
