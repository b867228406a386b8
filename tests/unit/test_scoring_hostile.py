"""Hostile responses: no exception, nothing executed, and work that grows no faster than the text."""

import sys

import pytest
from counted_calls import calls
from hostile_texts import CODE, SHAPES, assert_nothing_is_executed, code_as_answers, text_of
from hypothesis import given
from hypothesis import strategies as st

from fofg.tasks.strings import answers
from fofg.tasks.strings.answers import NO_ANSWER, find_answer, last_object
from fofg.tasks.strings.grading import grade
from fofg.tasks.task import Outcome

MEGABYTE = 1 << 20
RULES = ("published", "lenient")


def nested(opening, closing, depth, around='{"output": %s}'):
    return around % (opening * depth + "1" + closing * depth)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", SHAPES)
def test_work_grows_linearly_with_the_text(shape, rule):
    small, large = (calls(find_answer, text_of(shape, size), rule) for size in (20_000, 40_000))
    assert large <= 2 * small + 50


@pytest.mark.parametrize("shape", SHAPES)
def test_the_text_is_read_a_bounded_number_of_times(shape):
    class Counting(str):
        read = 0

        def find(self, part, start=0):
            at = super().find(part, start)
            Counting.read += (at if at >= 0 else len(self)) - start + 1
            return at

        def count(self, part, start, end):
            Counting.read += end - start
            return super().count(part, start, end)

    text = Counting(text_of(shape, 20_000))
    last_object(text)
    assert 0 < Counting.read <= 3 * len(text) + 3


@pytest.mark.parametrize("shape", SHAPES)
def test_the_lenient_rule_decodes_a_bounded_number_of_times(shape, monkeypatch):
    decode, count = answers._decode, 0

    def counted(*arguments):
        nonlocal count
        count += 1
        return decode(*arguments)

    monkeypatch.setattr(answers, "_decode", counted)
    find_answer(text_of(shape, 100_000), "lenient")
    assert count <= 2 * answers._LENIENT_TRIES + 6


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_megabyte_is_scored(shape, rule):
    assert grade(text_of(shape, MEGABYTE), "ab", rule=rule) is not Outcome.CORRECT


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("depth", [10, 900, 5_000, 200_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"output":', "}"), ("(", ")"), ("{", "}")])
def test_deep_nesting(opening, closing, depth, rule):
    assert grade(nested(opening, closing, depth), "1", rule=rule) in (Outcome.WRONG, Outcome.NO_ANSWER)


@pytest.mark.parametrize("digits", [640, 641, 4_301, 100_000])
def test_huge_integers_are_answers_whatever_the_digit_limit(digits):
    limit = sys.get_int_max_str_digits()
    try:
        for setting in (640, limit):
            sys.set_int_max_str_digits(setting)
            assert grade(f'{{"output": -{"9" * digits}}}', "ab") is Outcome.WRONG
    finally:
        sys.set_int_max_str_digits(limit)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "null", "[]", "{}", '"\\ud800"', '"\ud800"'])
def test_odd_values_are_wrong_answers(value):
    assert grade(f'{{"output": {value}}}', "ab") is Outcome.WRONG


def test_lone_surrogates_compare_as_they_are():
    assert grade('{"output": "\ud800"}', "\ud800") is Outcome.CORRECT
    assert grade('{"output": "\\ud800"}', "\ud800") is Outcome.CORRECT


@given(st.text(st.characters(exclude_categories=())), st.sampled_from(RULES))
def test_no_text_raises(text, rule):
    for wrapped in (text, "{" + text, '{"output": ' + text + "}", '```json{"output": "' + text + '"}```', "\\boxed{" + text):
        grade(wrapped, text, rule=rule)


GRADE = """
from fofg.tasks.strings.grading import grade
from fofg.tasks.task import Outcome
def read(text):
    for rule in ('published', 'lenient'):
        assert grade(text, 'ab', rule=rule) is not Outcome.CORRECT
"""


def test_nothing_is_executed():
    assert_nothing_is_executed(GRADE, code_as_answers())


def test_code_is_no_answer():
    assert all(find_answer(f'{{"output": {code}}}') is NO_ANSWER for code in CODE)
