"""The laws of the balanced sampler, for many settings."""

import ast
from collections import Counter
from functools import cache
from itertools import pairwise, product
from string import ascii_lowercase

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from problem_sets import DATASETS, pool, problems

from fofg.config import Problems
from fofg.errors import UserError
from fofg.tasks.strings import balanced_sampler, pools
from fofg.tasks.strings.balanced_sampler import for_evaluation
from fofg.tasks.strings.expressions import evaluate, size, steps
from fofg.tasks.strings.functions import DECLARED, FUNCTIONS, PUBLIC_NAMES, READABLE_NAMES
from fofg.tasks.task import Split

DEFAULT = Problems(sampler="balanced", seed=42, input_length=(3, 6), max_output_length=32, template="{code}{input}")
SPLITS = [(name, split) for name in DATASETS for split in ("train", "test")]
#: Of up to two levels, for which a much tighter cap will do.
SHORT = [(dataset, split) for dataset, split in SPLITS if DATASETS[dataset].levels[1] <= 2]
#: Calls of the most and the least seen function of a level differ at most by this.
SPREAD = 8


@st.composite
def settings(draw, tightest: int = 24):
    """Settings whose cap, if any, is at least ``tightest`` times the shortest input."""
    low = draw(st.integers(3, 8))
    high = draw(st.integers(low + 1, 14))
    cap = draw(st.none() | st.integers(max(high, tightest * low), 300))
    return DEFAULT.model_copy(update={"seed": draw(st.integers(0, 2**40)), "input_length": (low, high), "max_output_length": cap})


few = hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
splits = st.tuples(st.sampled_from(SPLITS), settings()) | st.tuples(st.sampled_from(SHORT), settings(tightest=7))


@cache
def sampled(dataset: str, split: str, rows: int) -> tuple:
    return tuple(problems(dataset, split, rows, DEFAULT))


def strings(step) -> tuple[str, ...]:
    """Return the string operands of a step."""
    two = step.operator == "+" or DECLARED[READABLE_NAMES[step.operator]].operands == 2
    return step.arguments[: 2 if two else 1]


def paths(node: ast.expr, calls: int = 0):
    """(calls from the root, leaf) for every leaf of an expression, parameters left out."""
    match node:
        case ast.BinOp(left=left, right=right):
            yield from paths(left, calls)
            yield from paths(right, calls)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            for operand in arguments[: DECLARED[READABLE_NAMES[name]].operands]:
                yield from paths(operand, calls + 1)
        case ast.Name(id=leaf):
            yield calls, leaf
        case ast.Constant():
            yield calls, None


@few
@given(splits)
def test_laws_of_each_problem(case):
    (dataset, split), chosen = case
    low, high = chosen.input_length
    functions = set(pool(dataset, split))
    for p in problems(dataset, split, 80, chosen):
        assert low <= len(p.input) <= high
        trace = steps(p.expression, p.input)
        assert trace[-1].output == p.output == evaluate(p.expression, p.input) != p.input
        for step in trace:
            assert step.output not in strings(step)
            assert 0 < len(step.output) <= (chosen.max_output_length or len(step.output))
        leaves = list(paths(ast.parse(p.text, mode="eval").body))
        longest = max(calls for calls, _ in leaves)
        assert p.level == size(p.expression).level == longest >= 1
        assert (longest, "x") in leaves
        assert {READABLE_NAMES[step.operator] for step in trace if step.operator != "+"} <= functions


@few
@given(settings())
def test_train_and_test_share_no_input(chosen):
    inputs = {"train": set(), "test": set()}
    for dataset, split in SPLITS:
        inputs[split].update(p.input for p in problems(dataset, split, 60, chosen))
    assert not inputs["train"] & inputs["test"]


@pytest.mark.parametrize("seed", [0, 42, 2**33 + 5])
def test_an_eighth_of_all_inputs_is_for_the_evaluation(seed):
    words = ["".join(letters) for letters in product(ascii_lowercase, repeat=3)]
    share = sum(for_evaluation(word, seed) for word in words) / len(words)
    assert abs(share - 1 / 8) < 0.01
    both = sum(for_evaluation(word, seed) and for_evaluation(word, seed + 1) for word in words) / len(words)
    assert abs(both - 1 / 64) < 0.01


def exposure(made) -> dict[int, Counter]:
    """Calls of each function, by level."""
    seen: dict[int, Counter] = {}
    for p in made:
        names = [READABLE_NAMES[step.operator] for step in steps(p.expression, p.input) if step.operator != "+"]
        seen.setdefault(p.level, Counter()).update(names)
    return seen


@few
@given(splits, st.integers(1, 300))
def test_every_function_is_called_equally_often_at_each_level(case, rows):
    (dataset, split), chosen = case
    for counts in exposure(problems(dataset, split, rows, chosen)).values():
        values = [counts[name] for name in pool(dataset, split)]
        assert max(values) - min(values) <= SPREAD


@pytest.mark.parametrize(("dataset", "split"), [*SHORT, ("stage2_level1to8", "test")])
def test_exposure_stays_equal_in_long_runs(dataset, split):
    seen = exposure(sampled(dataset, split, 4000))
    for counts in seen.values():
        assert set(counts) == set(pool(dataset, split))
        assert max(counts.values()) - min(counts.values()) <= SPREAD


@pytest.mark.parametrize(
    ("dataset", "split"), [("stage1_level1", "train"), ("stage2_level1to2", "train"), ("stage2_level1to8", "test")]
)
def test_no_problem_occurs_twice(dataset, split):
    made = [(p.text, p.input) for p in sampled(dataset, split, 4000)]
    assert len(set(made)) == len(made)


def test_no_problem_occurs_twice_among_few():
    narrow = DEFAULT.model_copy(update={"input_length": (3, 3)})
    made = [(p.text, p.input) for p in problems("stage2_level1", "test", 3000, narrow)]
    assert len(set(made)) == len(made) == 3000


def test_problems_depend_on_seed_dataset_and_split():
    streams = [tuple(problems(dataset, split, 5, DEFAULT)) for dataset, split in SPLITS]
    streams.append(tuple(problems("stage1_level1", "train", 5, DEFAULT.model_copy(update={"seed": 43}))))
    assert len(set(streams)) == len(streams)


def test_inputs_suit_their_functions():
    by_function = {name: [] for name in FUNCTIONS}
    for p in sampled("stage1_level1", "train", 4000):
        by_function[READABLE_NAMES[p.text.split("(")[0]]].append(p.input)
    assert all(" " in text for text in by_function["reverse_words"])
    assert any(text.count(" ") == 2 for text in by_function["reverse_words"])
    assert not any(text.isalpha() for text in by_function["loop_filter_nonalpha"])
    assert all(any(a == b for a, b in pairwise(text)) for text in by_function["compress_repeats"])
    assert all(set(text) & set("aeiou") for text in by_function["remove_vowels"] + by_function["vowel_to_number"])
    assert all(len(text) % 2 for text in by_function["verify_even_length"])


def composed(node: ast.expr) -> tuple[set[tuple[str, str]], set[str]]:
    """Return the pairs (inner, outer) of functions in an expression, and the functions whose results it has."""
    match node:
        case ast.BinOp(left=left, right=right):
            (pairs, inner), (more, others) = composed(left), composed(right)
            return pairs | more, inner | others
        case ast.Call(func=ast.Name(id=name), args=arguments):
            pairs, inner = (set().union(*parts) for parts in zip(*map(composed, arguments)))
            return pairs | {(READABLE_NAMES[one], READABLE_NAMES[name]) for one in inner}, {name}
    return set(), set()


@few
@given(st.integers(0, 2**40))
def test_tests_of_new_pairs_have_no_pair_of_training(seed):
    """Pairs are new or seen, a quarter and the rest; all that a problem composes is of its kind, with balanced functions."""
    settings, functions = DEFAULT.model_copy(update={"seed": seed}), pool("stage2_level2", "train")
    kinds = {kind: pools.pairs(functions, seed, kind) for kind in ("seen", "new")}
    assert kinds["seen"] | kinds["new"] == set(product(functions, functions)) and not kinds["seen"] & kinds["new"]
    assert Counter(inner for inner, _ in kinds["new"]) == Counter(outer for _, outer in kinds["new"]) == Counter([*functions] * 3)
    for kind, allowed in kinds.items():
        split = Split("pairs", 2, "test", [(1, 20), (2, 200), (4, 20)], "train", kind)
        made = list(balanced_sampler.sample(split, functions, settings))
        found = set().union(*(composed(ast.parse(p.text, mode="eval").body)[0] for p in made))
        assert found <= allowed and len(found) > 0.6 * len(allowed)
        assert all(for_evaluation(p.input, seed) for p in made)
        for counts in exposure(made).values():
            assert max(counts.values()) - min(counts[name] for name in functions) <= SPREAD


def test_expressions_are_varied():
    made = sampled("stage2_level1to8", "test", 4000)
    texts = [p.text for p in made]
    two = tuple(f"{PUBLIC_NAMES[name]}(" for name, declared in DECLARED.items() if declared.operands == 2)
    assert any(" + '" in text for text in texts) and any("' + " in text for text in texts)
    assert any(size(p.expression).calls > p.level for p in made)
    assert any(size(p.expression).depth > p.level for p in made)
    assert any(text.startswith(two) and text.count("func_") > 2 for text in texts)
    innermost = {steps(p.expression, p.input)[0].operator for p in made if p.level > 1}
    assert innermost >= {PUBLIC_NAMES[name] for name in pool("stage2_level1to8", "test")}


@pytest.mark.parametrize(
    ("update", "dataset", "named"),
    [
        ({"input_length": (1, 1)}, "stage1_level1", "level 1"),
        ({"input_length": (2, 2)}, "stage1_level1", "level 1"),
        ({"input_length": (4, 4)}, "stage1_level1", "verify_even_length"),
        ({"input_length": (3, 3), "max_output_length": 3}, "stage1_level1", "at most 3"),
        ({"input_length": (8, 8), "max_output_length": 8}, "stage2_level2", "level 2"),
        ({"input_length": (3, 3), "max_output_length": 8}, "stage2_level1", "fancy_brackets"),
    ],
)
def test_impossible_settings_are_an_error_that_names_the_keys(update, dataset, named):
    with pytest.raises(UserError, match=r"problems\.input_length, problems\.max_output_length: ") as caught:
        list(problems(dataset, "train", 200, DEFAULT.model_copy(update=update)))
    assert named in str(caught.value)


def test_too_many_problems_are_an_error():
    narrow = DEFAULT.model_copy(update={"input_length": (3, 3)})
    with pytest.raises(UserError, match="fewer problems"):
        list(problems("stage2_level1", "test", 200_000, narrow))
