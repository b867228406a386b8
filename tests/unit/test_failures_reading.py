"""Reading steps from responses: the ways of writing them, and hostile texts."""

import pytest
from counted_calls import calls
from hostile_texts import CODE, assert_nothing_is_executed
from hypothesis import given
from hypothesis import strategies as st

from fofg.tasks.strings.expressions import parse
from fofg.tasks.strings.failures import CLASSES, classify
from fofg.tasks.strings.failures_alignment import Solution
from fofg.tasks.strings.failures_reading import NamedStep, read_steps

PROBLEM = Solution(parse("func_7((func_17(x) + 'ab'), func_6(func_2(x), 'zz'))"), "abc")
REVERSED, DOUBLED = NamedStep("func_17", ("abc",), "cba"), NamedStep("func_14", ("cba",), "ccbbaa")
#: Two steps on the input "abc", in many hands.
SPELLINGS = {
    "arrows": 'func_17("abc") reverses -> "cba"\nfunc_14("cba") doubles each character -> "ccbbaa"',
    "equations": 'func_17("abc") = "cba"\nfunc_14("cba") = "ccbbaa"',
    "double equals signs": "func_17('abc') == 'cba', func_14('cba') == 'ccbbaa'",
    "prose": "First, func_17('abc') returns 'cba'. Then func_14('cba') doubles every character, giving 'ccbbaa'.",
    "relative clauses": 'We need func_17("abc"), which is "cba". So func_14("cba") is "ccbbaa", where each is there twice.',
    "apostrophes": "Let's see: func_17('abc') is 'cba'. It's the operand of func_14('cba'), that's 'ccbbaa'.",
    "curly quotes": "func_17(“abc”) gives “cba”, func_14(‘cba’) gives ‘ccbbaa’.",
    "no quotes": "func_17(abc) -> cba\nfunc_14(cba) = ccbbaa.",
    "no quotes in a sentence": "func_17(abc) = cba, so func_14(cba) = ccbbaa. That is it.",
    "markdown": '- `func_17("abc")` → **"cba"**\n- `func_14("cba")` → **"ccbbaa"**',
    "table": '| 1 | func_17("abc") | "cba" |\n| 2 | func_14("cba") | "ccbbaa" |',
    "result on a later line": 'func_17("abc"):\n- last letter first\n- Result: "cba"\n\nfunc_14("cba"):\n- Result: "ccbbaa"',
    "variables": 'x = "abc"\na = func_17(x)  # "cba"\nb = func_14(a)  # "ccbbaa"',
    "results of variables": "a = func_17(x)\na = 'cba'\nb = func_14(a)\nb = 'ccbbaa'",
    "nested calls": 'func_17(x) = "cba"\nfunc_14(func_17(x)) = "ccbbaa"',
    "rewriting": 'main_solution("abc") = func_14(func_17("abc")) = func_14("cba") = "ccbbaa"',
    "rewriting over lines": '  func_14(func_17("abc"))\n= func_14("cba")\n= "ccbbaa"',
    "a result before its use": 'func_14(func_17("abc")) gives "ccbbaa", since func_17("abc") gives "cba".',
    "keywords": 'func_17(s="abc") = "cba"\nfunc_14(s="cba") = "ccbbaa"',
    "brackets": '(func_17("abc") → "cba"), (func_14(("cba")) → "ccbbaa")',
    "worked out": 'func_17("abc") = "c" + "b" + "a" = "cba"\nfunc_14("cba") = "cc" + "bb" + "aa"',
    "escapes": 'func_17("\\u0061bc") = "cba"\nfunc_14("cba") = "ccbbaa"',
    "steps as JSON": '{"steps": [{"call": "func_17(\'abc\')", "result": "cba"}, {"call": "func_14(\'cba\')", "result": "ccbbaa"}],',
    "LaTeX": "$\\text{func\\_17}(\\text{abc}) = \\text{cba}$, $\\texttt{func\\_14}(cba) = ccbbaa$",
    "another language": '首先 func_17("abc") 得到 "cba"，然后 func_14("cba") 得到 "ccbbaa"。',
}
#: Functions without brackets: their operands may be missing.
IN_WORDS = {
    "applying": "Applying func_17 to 'abc' gives 'cba'. Applying func_14 to 'cba' gives 'ccbbaa'.",
    "becomes": '1. func_17 reverses: "abc" becomes "cba".\n2. func_14 doubles: "cba" becomes "ccbbaa".',
    "a row of arrows": '"abc" → func_17 → "cba" → func_14 → "ccbbaa"',
    "bold names": '**func_17**(`"abc"`) → `"cba"`, **func_14**(`"cba"`) → `"ccbbaa"`',
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_of_the_same_steps(spelling):
    found = read_steps(SPELLINGS[spelling] + '\n{"output": "ccbbaa"}', "abc")
    assert {step for step in found if step.complete} == {REVERSED, DOUBLED}


@pytest.mark.parametrize("spelling", IN_WORDS)
def test_functions_named_in_words(spelling):
    found = read_steps(IN_WORDS[spelling], "abc")
    assert found == [REVERSED._replace(in_words=True), DOUBLED._replace(in_words=True)]


def test_results_in_words_need_no_operand():
    assert read_steps("After func_17: 'cba'\nThen func_14 yields 'ccbbaa'", "abc") == [
        NamedStep("func_17", None, "cba", True),
        NamedStep("func_14", None, "ccbbaa", True),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "The code calls func_17 first, then func_14 on its result.",
        "def main_solution(x):\n    return func_14(func_17(x))",
        "func_17 is applied to 'abc'.",
        "x = 'abc'",
        'The input is "abc" and I guess the output.',
        'func_17("abc"',
        "func_99999(abc) -> cba",
    ],
)
def test_text_without_a_step(text):
    assert not any(step.complete for step in read_steps(text, "abc"))


def test_joins_methods_and_parameters():
    text = '"ab" + "cd" joins -> "abcd"\n"abcd".upper() makes upper case -> "ABCD"\nfunc_6("ABCD", "x") = "ABCDx"\n'
    assert read_steps(text + 'func_1("a", 3) = "aaa"', "abc") == [
        NamedStep("+", ("ab", "cd"), "abcd"),
        NamedStep(".upper", ("abcd",), "ABCD"),
        NamedStep("func_6", ("ABCD", "x"), "ABCDx"),
        NamedStep("func_1", ("a", 3), "aaa"),
    ]


def test_broken_lines_give_partial_steps():
    text = 'func_6("abc", 2)func_6("abc"\n"cba") doubles each character -> "ccbbaa"\n"ab", "cd") weaves together -> "acbd"'
    assert read_steps(text, "abc") == [
        NamedStep("func_6", ("abc", 2), None),
        NamedStep("", ("cba",), "ccbbaa"),
        NamedStep("", ("ab", "cd"), "acbd"),
    ]


def test_text_after_the_answer_is_ignored():
    text = '{"output": "cba"} func_17("abc") = "cba"'
    assert read_steps(text, "abc") == []


def test_a_corrected_step_keeps_both_results():
    found = read_steps('func_17("abc") = "bca". No: func_17("abc") = "cba".', "abc")
    assert [step.output for step in found] == ["bca", "cba"]


#: Name -> part that is repeated, on one line and behind a call.
SHAPES = {
    "open calls": "func_1(",
    "closed calls": 'func_17("a") ',
    "calls and marks": 'func_17("a")=',
    "equations": 'func_17("a")="a"',
    "quotes": '"',
    "single quotes": " '",
    "opened single quotes": " 'a",
    "curly quotes": "“",
    "opening quotes": "‘",
    "escaped quotes": '\\"',
    "backslashes": "\\",
    "joins": '"a"+',
    "marks": "->",
    "equal strings": '="a"',
    "names": "func_17 ",
    "names and strings": 'func_17 "a" -> "b" ',
    "assignments": "a = func_17(a)\n",
    "assignments that double": "a = func_7(a, a)\n",
    "joins that double": 'a = ("" + a + a)\nfunc_1(a, "c") = (a + a)\n',
    "words": "word ",
    "digits": "9",
    "newlines": "\n",
    "quoted newlines": '"\n',
    "colons": ":",
    "brackets": "(",
    "closing brackets": ")",
    "methods": '"a".upper()',
    "inputs": 'x = "a" ',
    "quotes in quotes": "\"'“func_1(",
    "objects": '{"a": ',
    "lone words": "func_17(a) = b. ",
    "spaces behind marks": 'func_17("a") ->' + " " * 50,
    "unnamed steps": '"a", "b") -> "c"\n',
    "long arguments": f'func_7("{"ab" * 400}", "{"cd" * 400}") = "x"\n',
    "text commands": "\\text{",
    "commas": ",",
    "surrogates": "\ud800",
    "null characters": "\0",
}
ANSWER = '\n{"output": "zz"}'


def text_of(shape, size):
    return 'func_17("abc") ' + SHAPES[shape] * (size // len(SHAPES[shape])) + ANSWER


@pytest.mark.parametrize("shape", SHAPES)
def test_work_grows_linearly_with_the_text(shape):
    small, large = (calls(classify, PROBLEM, text_of(shape, size)) for size in (4_000, 8_000))
    assert large <= 2 * small + 400


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_a_megabyte_is_classified(shape):
    assert classify(PROBLEM, text_of(shape, 1 << 20)) in CLASSES


@pytest.mark.parametrize("depth", [10, 49, 50, 51, 5_000])
def test_deep_nesting(depth):
    text = "func_17(" * depth + '"a"' + ")" * depth + ' = "b"' + ANSWER
    assert classify(PROBLEM, text) in CLASSES
    assert classify(PROBLEM, "".join(f"a = func_17(a)\nfunc_14(a) = {step}\n" for step in range(depth)) + ANSWER) in CLASSES


def test_many_different_steps():
    text = "".join(f'func_17("{step}") = "{step + 1}"\n' for step in range(5_000))
    assert classify(PROBLEM, text + ANSWER) == "incorrect_composition"


def test_values_that_would_explode_are_not_computed():
    """Functions are only ever applied with the expression's own parameters, to strings of bounded length."""
    growing = Solution(parse("func_9(func_1(func_9(func_17(x)), 99))"), "abc")
    text = f'func_17("abc") = "{"a" * 1_000_000}"\nfunc_1("abc", 999999999) = "abc"' + ANSWER
    assert classify(growing, text) in CLASSES


@given(st.text(st.characters(exclude_categories=())) | st.text(st.sampled_from("func_17 x()\"'=+->:,\n.upper{}\\ab1“”‘’→`|")))
def test_no_text_raises(text):
    for wrapped in (text, f'func_17("{text}") = {text}', f"func_7({text}, func_2({text})) -> {text}", text * 3):
        assert classify(PROBLEM, wrapped + ANSWER) in CLASSES


CLASSIFY = """
from fofg.tasks.strings.failures import classify
from fofg.tasks.strings.failures_alignment import Solution
from fofg.tasks.strings.expressions import parse
problem = Solution(parse('func_14(func_17(x))'), 'abc')
def read(text):
    classify(problem, text)
read('func_17("abc") = "cba" {"output": "c"}')
"""


def test_nothing_is_executed():
    frames = ["func_17(%s) = %s", "func_17('%s') = '%s'", "a = %s\nfunc_17(a) = %s", "```python\n%s\n%s\n```", "x = %s; x = %s"]
    responses = [frame % (code, code) + '\n{"output": "c"}' for frame in frames for code in CODE]
    assert_nothing_is_executed(CLASSIFY, responses)
