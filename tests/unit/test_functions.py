"""The 25 functions: the published facts, and the two pools of Stage 2."""

import json
import sys
from itertools import chain, product
from pathlib import Path

import pytest

from fofg.tasks.strings import pools
from fofg.tasks.strings.functions import DECLARED, FUNCTIONS, PUBLIC_NAMES, READABLE_NAMES

FACTS = json.loads((Path(__file__).parents[1] / "reference" / "functions.json").read_text(encoding="utf-8"))
WORDS = ["", "a", "ab", "abc", "queue ox", "Mis5 iss", "zebra-_|", "aabbaa", "level", "hello world you", "«x»", "AEIOU"]
WORDS += ["7", "xyzzy"]
TRAINING, HELD_OUT = (tuple(name for name in FUNCTIONS if DECLARED[name].pool == side) for side in ("train", "test"))
PARAMETER_VALUES = {int: [1, 2, 3, 4, 5], str: ["-", "ab", "|"]}


def test_functions_agree_with_all_published_facts():
    assert len(FACTS) == 750
    assert [fact for fact in FACTS if FUNCTIONS[fact["name"]](*fact["args"]) != fact["output"]] == []


def test_names_are_the_published_ones():
    published = {fact["name"]: fact["func"] for fact in FACTS}
    assert published.items() <= PUBLIC_NAMES.items()
    assert {public: name for name, public in PUBLIC_NAMES.items()} == READABLE_NAMES


@pytest.mark.parametrize("name", FUNCTIONS)
def test_long_strings_need_no_recursion(name):
    text = "ab c1" * (sys.getrecursionlimit() * 2)
    parameter = [{int: 3, str: "xy"}[declared.parameter.type]] if (declared := DECLARED[name]).parameter else []
    assert isinstance(FUNCTIONS[name](*[text] * declared.operands, *parameter), str)


def _behaviors(name: str, words: list[str]) -> set[tuple[str, ...]]:
    """Return a function's outputs for all words (or pairs of words), for each value of its parameter."""
    declared = DECLARED[name]
    operands = list(product(words, repeat=declared.operands))
    parameters = [(value,) for value in PARAMETER_VALUES[declared.parameter.type]] if declared.parameter else [()]
    return {tuple(FUNCTIONS[name](*strings, *parameter) for strings in operands) for parameter in parameters}


def _agreeing(left: tuple[str, ...], right: tuple[str, ...], words: list[str]) -> set[tuple[str, str]]:
    return {(a, b) for a in left for b in right if _behaviors(a, words) & _behaviors(b, words)}


def test_balanced_pools_share_no_behavior():
    assert not _agreeing(TRAINING, HELD_OUT, WORDS)
    assert not _agreeing(TRAINING, HELD_OUT, [word for word in WORDS if word != word[::-1]])


def test_published_pools_share_three_behaviors():
    pairs = _agreeing(*pools.PUBLISHED.values(), WORDS)
    assert pairs == {("repeat_str", "loop_concat"), ("while_rotate", "rotate_str"), ("recursive_interlace", "interlace_str")}


def test_published_pools_split_the_functions_of_the_paper():
    assert sorted(chain.from_iterable(pools.PUBLISHED.values())) == sorted({fact["name"] for fact in FACTS})


def test_published_pools_by_number():
    numbers = [int(PUBLIC_NAMES[name].removeprefix("func_")) for name in pools.PUBLISHED["train"]]
    assert numbers == [1, 3, 4, 5, 9, 11, 13, 15, 17, 19, 20, 22, 23]
