"""The reward of string problems: the published verdicts, the finer points of the rule, and the rule again as a plain loop."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fofg.errors import UserError
from fofg.scoring.answers import NO_ANSWER, find_answer, last_object
from fofg.scoring.string_task import score

VERDICTS = Path(__file__).parents[1] / "reference" / "verdicts.jsonl"


def test_agrees_with_all_published_verdicts():
    rows = [json.loads(line) for line in VERDICTS.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 600
    wrong = [row for row in rows if score(row["response"], row["truth"]) != (row["reward"], bool(row["correct"]))]
    assert wrong == []


def test_lenient_changes_only_verdicts_without_an_answer():
    rows = [json.loads(line) for line in VERDICTS.read_text(encoding="utf-8").splitlines()]
    changed = [row for row in rows if score(row["response"], row["truth"], rule="lenient").reward != row["reward"]]
    assert changed
    assert {row["reward"] for row in changed} == {-1}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('so {"output": "ab"}', "ab"),
        ('{"output": "a"} and {"output": "b"} done', "b"),
        ('{"a": {"output": "in"}, "output": "out"}', "out"),
        ('{"output": {"output": "in"}}', {"output": "in"}),
        ('{"output": "old", "output": "new"}', "new"),
        ('{"output": "ab\n"}', "ab"),
        ('{"output": "ab\\n"}', "ab\n"),
        ('{"output": " ab "}', " ab "),
        ('{"output": "ab"} then { is left open', "ab"),
        ('}}} {"output": "ab"}', "ab"),
        ('[{"output": "ab"}]', "ab"),
        ('{"output": "«ab»"}', "«ab»"),
        ('{"output": "\\u00abab\\u00bb"}', "«ab»"),
        ('{"output": null}', None),
        ('{"output": None}', None),
        ('{"output": True}', True),
        ('{"output": [1, False]}', [1, False]),
        ('{"output": "aTrueb None"}', "aTrueb None"),
        ('{"output": "None \\" True", "ok": True}', 'None " True'),
        ('{"output": 1e999}', math.inf),
        ('{"output": ("a", "b")}', ["a", "b"]),
        ('{"output": "f(x)"}', "f(x)"),
        ('\\{"output": "ab"\\}', "ab"),
        ('$$\\{"output": "ab"\\}$$', "ab"),
        ('\\boxed{{"output": "ab"}}', "ab"),
        ('\\boxed{\\{"output": "ab"\\}}', "ab"),
        ('\\boxed{\n{"output": "ab"}\n} at last', "ab"),
        ('\\boxed{{"output": "a"}} \\boxed{{"output": "b"}}', "b"),
        ('```json\n{"output": "ab"}\n```', "ab"),
        ('```json {"output": "a"}``` ```json {"output": "b"}```', "b"),
        ('```json\n{"output": "in"}\n``` then {"output": "after"}', "in"),
        ('{"output": "before"}\n```json\n{"output": "in"}\n```', "in"),
        ('```json\n\\{"output": "ab"\\}\n```', "ab"),
        ('```json\n{"output": "{"}\n```', "{"),
        ('```\n{"output": "ab"}\n```', "ab"),
    ],
)
def test_finds(text, answer):
    assert find_answer(text) == answer
    assert find_answer(text, "lenient") == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the answer is ab",
        '"ab"',
        "null",
        "{}",
        '{"Output": "ab"}',
        '{"output": ab}',
        '{"output": "ab',
        '{"output": "ab\\"}',
        '{"output": "ab",}',
        '{"output": "a\tb"}',
        "{'output': 'ab'}",
        '{output: "ab"}',
        '("output": "ab")',
        '["output", "ab"]',
        '```json\n["output"]\n```',
        '```json\nSo {"output": "ab"}\n```x',
        "\\boxed{ab}",
        '{"output": trueTrue}',
    ],
)
def test_finds_nothing_by_either_rule_or_only_by_the_lenient_one(text):
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
        '{"output": "ab"} so {x} is it',
        '{ {"output": "no"} {"a": {"output": "inner"}, "output": "ab"}',
        'open { \\{"output": "ab"\\}',
        'set {1, 2} and "{ {"output":\n"ab"}',
    ],
)
def test_only_the_lenient_rule_passes_over_stray_braces(text):
    assert find_answer(text) is NO_ANSWER
    assert find_answer(text, "lenient") == "ab"


@pytest.mark.parametrize(
    ("scheme", "rewards"),
    [("paper", (1, 0, -1)), ("binary", (1, 0, 0))],
)
def test_schemes(scheme, rewards):
    texts = ['{"output": "ab"}', '{"output": "ab "}', "ab"]
    verdicts = [score(text, "ab", scheme) for text in texts]
    assert tuple(verdict.reward for verdict in verdicts) == rewards
    assert [verdict.correct for verdict in verdicts] == [True, False, False]


@pytest.mark.parametrize(("scheme", "reward"), [("paper", -1), ("binary", 0)])
def test_a_truncated_response_has_no_answer(scheme, reward):
    verdict = score('{"output": "ab"}', "ab", scheme, truncated=True)
    assert (verdict.reward, verdict.correct) == (reward, False)


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
    verdict = score(f'{{"output": {answer}}}', truth)
    assert verdict == (float(correct), correct)


def test_unknown_scheme_and_rule_are_the_users_errors():
    with pytest.raises(UserError, match="scheme: no scheme 'papers'; use paper or binary"):
        score("", "ab", scheme="papers")
    with pytest.raises(UserError, match="answer_rule: no rule 'strict'; use published or lenient"):
        score("", "ab", rule="strict")


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


def loop_literals(text):
    out, index, quoted = "", 0, False
    while index < len(text):
        if quoted and text[index] == "\\":
            out, index = out + text[index : index + 2], index + 2
            continue
        if text[index] == '"':
            quoted = not quoted
        for python, javascript in (("True", "true"), ("False", "false"), ("None", "null")):
            around = text[max(0, index - 1) : index] + text[index + len(python) : index + len(python) + 1]
            if not quoted and text.startswith(python, index) and not any(c.isalnum() or c == "_" for c in around):
                out, index = out + javascript, index + len(python)
                break
        else:
            out, index = out + text[index], index + 1
    return out


def loop_object(text):
    text = text.replace("\n", "")
    for version in (text, loop_literals(text)):
        try:
            value = json.loads(version)
        except ValueError:
            continue
        return value if isinstance(value, dict) else None
    return None


def loop_place(text):
    if "```json" not in text:
        return loop_last_object(text)
    content, fence, _ = text.split("```json")[-1].partition("```")
    return content if fence else ""


def loop_boxed(text):
    if "\\boxed{" not in text:
        return ""
    content, depth = "", 1
    for character in text.split("\\boxed{")[-1]:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if not depth:
            return content
        content += character
    return ""


def loop_find_answer(text):
    plain = text.replace("\\{", "{").replace("\\}", "}").replace("(", "[").replace(")", "]")
    for place in (loop_place(text), loop_place(plain), loop_boxed(plain)):
        if (value := loop_object(place)) is not None:
            return value.get("output", NO_ANSWER)
    return NO_ANSWER


PIECES = [
    *'{}{}()"\\`\n ,:a',
    "\\{",
    "\\}",
    "```",
    "```json",
    "\\boxed{",
    '{"output": "',
    '"}',
    '{"output": ',
    '"output"',
    '"a": ',
    " True",
    "None ",
    "1.5",
    '{"output": "ab"}',
    '\\{"output": ("ab")\\}',
    "«",
    "so ",
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
    assert score(before + json.dumps({"output": answer}) + after, answer) == (1.0, True)


@given(st.text("{}ab ", max_size=20))
def test_lenient_finds_answers_that_hold_braces(answer):
    text = "a { here: " + json.dumps({"output": answer}) + " done"
    assert find_answer(text, "lenient") == answer
