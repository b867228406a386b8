"""The reward of string problems: the published verdicts, the finer points of the rule, and the rule again as a plain loop."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fofg.errors import UserError
from fofg.tasks.rewards import REWARDS
from fofg.tasks.strings.answers import NO_ANSWER, find_answer, last_object
from fofg.tasks.strings.grading import grade
from fofg.tasks.task import Outcome

REFERENCE = Path(__file__).parents[1] / "reference"
#: Verdicts of the public reward function: on responses of many kinds, on fences that are not closed, on boxes, on single oddities.
VERDICTS = {"verdicts": 600, "verdicts_open_fence": 400, "verdicts_boxed": 250, "verdicts_explained": 6}


def published(name):
    rows = [json.loads(line) for line in (REFERENCE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == VERDICTS[name]
    return rows


@pytest.mark.parametrize("name", VERDICTS)
def test_all_published_verdicts(name):
    def given(row):
        outcome = grade(row["response"], row["truth"])
        return REWARDS["published_code"][outcome], int(outcome is Outcome.CORRECT)

    assert [row for row in published(name) if given(row) != (row["reward"], row["correct"])] == []


@pytest.mark.parametrize("name", VERDICTS)
def test_lenient_changes_only_verdicts_without_an_answer(name):
    rows = [(row, grade(row["response"], row["truth"], rule="lenient")) for row in published(name)]
    changed = [row["reward"] for row, outcome in rows if REWARDS["published_code"][outcome] != row["reward"]]
    assert set(changed) <= {-1}
    assert changed or name == "verdicts_explained"


DRAFT = 'first {"output": "ab"}'


@pytest.mark.parametrize(
    "text",
    [
        f"<think>{DRAFT}</think>",
        f"<think>{DRAFT}</think> so it is cd",
        f"<think>{DRAFT}</think> so {{\"output\": 'cd'}}",
        f"<think>{DRAFT}</think> so ```json\n{{output: cd}}",
        f"<think>a</think> <think>{DRAFT}</think>",
        f"<think>{DRAFT}",
        f"{DRAFT}</think> cd",
        f"{DRAFT} <think> or",
        f"<think>a</think>{DRAFT}<think>b",
    ],
)
def test_a_draft_within_the_thinking_is_no_answer_by_the_lenient_rule(text):
    assert find_answer(text, "lenient") is NO_ANSWER


@pytest.mark.parametrize(
    "thinking", ["<think></think>", '<think>{"output": "cd"}</think>', "<think>{ ```json</think>", "{</think>"]
)
def test_the_lenient_rule_reads_the_answer_after_the_thinking(thinking):
    for answer in ('{"output": "ab"}', 'a stray { then {"output": "ab"}', '```json\n{"output": "ab"} '):
        assert find_answer(thinking + answer, "lenient") == "ab"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"output": "a"} and {"output": "b"} done', "b"),
        ('{"a": {"output": "in"}, "output": "out"}', "out"),
        ('{"output": {"output": "in"}}', {"output": "in"}),
        ('{"output": "old", "output": "new"}', "new"),
        ('{"output": "ab\n"}', "ab"),
        ('{"output": "ab\\n"}', "ab\n"),
        ('{"output": " ab "}', " ab "),
        ('{"output": "ab"} then { is left open', "ab"),
        ('{"output": "\\u00abab\\u00bb"}', "«ab»"),
        ('{"output": null}', None),
        ('{"output": [1, False]}', [1, False]),
        ('{"output": "aTrueb None"}', "aTrueb None"),
        ('{"output": "None \\" True", "ok": True}', 'null " true'),
        ('{"output": trueTrue}', NO_ANSWER),
        ('{"output": 1e999}', math.inf),
        ('{"output": ("a", "b")}', ["a", "b"]),
        ('{"output": "f(x)"}', "f(x)"),
        ('\\{"output": "ab"\\}', "ab"),
        ('\\boxed{{"output": "ab"}}', "ab"),
        ('\\boxed{{"output": "a"}} \\boxed{{"output": "b"}}', "b"),
        ('```json {"output": "a"}``` ```json {"output": "b"}```', "b"),
        ('```json\n{"output": "in"}\n``` then {"output": "after"}', "in"),
        ('{"output": "before"}\n```json\n{"output": "in"}\n```', "in"),
        ('```json\n{"output": "{"}\n```', "{"),
        ('```\n{"output": "ab"}\n```', "ab"),
        ('```json\n{"output": "ab"}\n', "ab"),
        ('\\boxed{x = {1}, {"output": "ab"}} as {said}', "ab"),
        ('\\boxed{\\left\\{"output": "ab"\\right\\}}', "ab"),
    ],
)
def test_finds_the_answer_by_either_rule(text, answer):
    assert find_answer(text) == answer
    assert find_answer(text, "lenient") == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        '"ab"',
        "{}",
        '{"Output": "ab"}',
        '{"output": ab}',
        '{"output": "ab',
        '{"output": "ab",}',
        '{"output": "a\tb"}',
        "{'output': 'ab'}",
        '{output: "ab"}',
        '("output": "ab")',
        '```json\n["output"]\n```',
        '```json\nSo {"output": "ab"}\n```x',
    ],
)
def test_finds_no_answer(text):
    assert find_answer(text) is NO_ANSWER
    lenient = find_answer(text, "lenient")
    assert lenient == "ab" if text.startswith("```json\nSo") else lenient is NO_ANSWER


@pytest.mark.parametrize(
    "text",
    [
        'open { brace {"output": "ab"}',
        '{{"output": "ab"}}',
        '{{{{{{ "output" {"output": "ab"}',
        '```json\n{"output": "ab"}',
        '```json\n{"output": "ab"}\n..',
        '{"output": "ab"} so {x} is it',
        '{ {"output": "no"} {"a": {"output": "inner"}, "output": "ab"}',
        'open { \\{"output": "ab"\\}',
        'set {1, 2} and "{ {"output":\n"ab"}',
    ],
)
def test_only_the_lenient_rule_skips_stray_braces(text):
    assert find_answer(text) is NO_ANSWER
    assert find_answer(text, "lenient") == "ab"


def test_a_truncated_response_has_no_answer():
    assert grade('{"output": "ab"}', "ab", truncated=True) is Outcome.NO_ANSWER


@pytest.mark.parametrize(
    ("answer", "truth", "correct"),
    [
        ("12", 12, True),
        ("12.0", 12, True),
        ("1.2e1", 12, True),
        ("12.0001", 12, False),
        ('"12"', 12, False),
        ("12", "12", False),
        ('"12"', "12", True),
        ('"12.0"', "12", False),
        ("true", 1, False),
        ("NaN", math.nan, False),
        ("null", "null", False),
        ('["ab"]', "ab", False),
        ('"AB"', "ab", False),
        ('""', "", True),
    ],
)
def test_numbers_compare_by_value_and_strings_to_the_character(answer, truth, correct):
    assert grade(f'{{"output": {answer}}}', truth) is (Outcome.CORRECT if correct else Outcome.WRONG)


def test_an_unknown_rule_is_the_users_error():
    with pytest.raises(UserError, match="answer_rule: no rule 'strict'; use published or lenient"):
        grade("", "ab", rule="strict")


# The published rule as a loop over characters.


def loop_last_object(text):
    opened, last = [], ""
    for index, character in enumerate(text):
        if character == "{":
            opened.append(index)
        elif character == "}" and opened:
            start = opened.pop()
            if not opened:
                last = text[start : index + 1]
    return last


def loop_object(text):
    text = text.replace("\n", "")
    replaced = text.replace("True", "true").replace("False", "false").replace("None", "null")
    for version in (text, replaced):
        try:
            value = json.loads(version)
        except ValueError:
            continue
        return value if isinstance(value, dict) else None
    return None


def loop_place(text):
    if "```json" not in text:
        return loop_last_object(text)
    behind = text.split("```json")[-1]
    return behind.partition("```")[0] if "```" in behind else behind[:-1]


def loop_boxed(text):
    if "\\boxed{" not in text:
        return ""
    content = "}".join(text.split("\\boxed{")[-1].split("}")[:-1])
    return loop_place(content.replace("\\left", "").replace("\\right", ""))


def loop_find_answer(text):
    plain = text.replace("\\{", "{").replace("\\}", "}").replace("(", "[").replace(")", "]")
    for place in (loop_place(text), loop_place(plain), loop_boxed(plain)):
        if (value := loop_object(place)) is not None:
            return value.get("output", NO_ANSWER)
    return NO_ANSWER


PIECES = [
    *'{}{}()"\\`\n ,:a',
    *("\\{", "\\}", "```", "```json", "\\boxed{", "\\left", "\\right", "«", "so ", " True", "None ", "1.5"),
    *('{"output": "', '"}', '{"output": ', '"output"', '"a": ', '{"output": "ab"}', '\\{"output": ("ab")\\}'),
]
texts = st.lists(st.sampled_from(PIECES), max_size=24).map("".join)


@settings(max_examples=1000)
@given(st.text("{}{}a", max_size=60))
def test_last_object_is_that_of_the_loop(text):
    assert last_object(text) == loop_last_object(text)


@settings(max_examples=1000)
@given(texts)
def test_answer_is_that_of_the_loop(text):
    assert find_answer(text) == loop_find_answer(text)


@settings(max_examples=500)
@given(texts)
def test_lenient_never_changes_an_answer_that_the_published_rule_finds(text):
    published = find_answer(text)
    assert find_answer(text, "lenient") == published or published is NO_ANSWER


@given(st.text("so, then ab«»12.\n"), st.text(st.characters(exclude_characters="{}`")), st.text("and so on.\n"))
def test_reasoning_around_the_answer_does_not_matter(before, answer, after):
    assert grade(before + json.dumps({"output": answer}) + after, answer) is Outcome.CORRECT


@settings(max_examples=300)
@given(texts, texts)
def test_the_lenient_rule_ignores_text_before_the_end_of_the_thinking(thinking, final):
    assert find_answer(f"<think>{thinking}</think>{final}", "lenient") == find_answer(final, "lenient")
    assert find_answer(f"{final}<think>{thinking}", "lenient") is NO_ANSWER


@given(st.text("{}ab ", max_size=20))
def test_lenient_finds_answers_that_hold_braces(answer):
    text = "a { here: " + json.dumps({"output": answer}) + " done"
    assert find_answer(text, "lenient") == answer
