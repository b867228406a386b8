"""Grades of answers to Countdown problems, compared with the verifier of reasoning-gym."""

from fractions import Fraction
from random import Random

import pytest
from counted_calls import calls
from hostile_texts import CODE, SHAPES, assert_nothing_is_executed
from hypothesis import given, settings
from hypothesis import strategies as st

from fofg.errors import UserError
from fofg.tasks import task as tasks
from fofg.tasks.countdown import expressions, grading, sampler
from fofg.tasks.countdown.grading import CORRECT, NO_ANSWER, UNREADABLE, WRONG_NUMBERS, WRONG_VALUE, Goal
from fofg.tasks.task import Outcome, Split

TASK = tasks.get("countdown")
RULES = ("published", "lenient")


GOAL = Goal(25, (44, 19))


def classify(answer: str, goal: Goal = GOAL, rule: str = "published") -> str:
    return grading.classify(goal, f"<answer>{answer}</answer>", False, rule)


# --- grades ---------------------------------------------------------------------------------------------------------


@st.composite
def solved(draw):
    """Draw an expression of integers with any tree, its text, and its value (None: undefined)."""
    parts = [(str(number), Fraction(number)) for number in draw(st.lists(st.integers(0, 100), min_size=2, max_size=6))]
    used = tuple(int(text) for text, _ in parts)
    while len(parts) > 1:
        (left, a), (right, b) = (parts.pop(draw(st.integers(0, len(parts) - 1))) for _ in "ab")
        symbol, operator = draw(st.sampled_from(["++", "--", "−-", "**", "×*", "//", "÷/"]))
        sign, space = draw(st.sampled_from(["", "-"])), draw(st.sampled_from(["", " ", "\n"]))
        a = -a if sign and a is not None else a
        text = f"({sign}{left}{space}{symbol}{space}{right})"
        undefined = a is None or b is None or (operator == "/" and b == 0)
        value = None if undefined else {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else 0}[operator]
        parts.append((text, value))
    return used, parts[0][0], parts[0][1]


@given(solved())
@settings(max_examples=200)
def test_an_expression_counts_by_its_exact_value(drawn):
    numbers, text, value = drawn
    assert expressions.value(expressions.read(text)) == value
    target = int(value) if value is not None and value.denominator == 1 else 1
    assert classify(text, Goal(target, numbers)) == (CORRECT if value == target else WRONG_VALUE)
    assert classify(text, Goal(target + 1, numbers)) == WRONG_VALUE or value == target + 1
    assert classify(text, Goal(target, (numbers[0] + 1, *numbers[1:]))) == WRONG_NUMBERS
    assert classify(text, Goal(target, (*numbers, 1))) == classify(text, Goal(target, numbers[1:])) == WRONG_NUMBERS


@given(st.lists(st.sampled_from([*"0123456789+-*/() "]), max_size=14).map("".join))
@settings(max_examples=500)
def test_operators_bind_as_in_python(text):
    """Whatever Python's own parser reads, and nothing else, but powers, floor division, calls and leading zeros."""
    read = expressions.read(text)
    try:
        expected = _python(text)
    except (SyntaxError, KeyError):
        assert read is None or _leading_zero(read)
    else:
        assert read is not None and expressions.value(read) == expected


def _python(text: str) -> Fraction | None:
    """Return the value of a text by Python's syntax tree, with exact division."""
    import ast
    import warnings

    operators = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.USub: "0-", ast.UAdd: "0+"}

    def value(node):
        if isinstance(node, ast.Constant):
            return Fraction(node.value)
        if isinstance(node, ast.UnaryOp):
            left, right, operator = Fraction(0), value(node.operand), operators[type(node.op)][1]
        else:
            pair = {"left": None, "right": None} | vars(node)
            operator = operators[type(pair.get("op"))]
            left, right = value(pair["left"]), value(pair["right"])
        if left is None or right is None or (operator == "/" and not right):
            return None
        return {"+": left + right, "-": left - right, "*": left * right, "/": left / (right or 1)}[operator]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 3(4) reads as a call
        return value(ast.parse(text.strip(), mode="eval").body)


def _leading_zero(expression: list[str]) -> bool:
    return any(len(number) > 1 and number.startswith("0") for number in expressions.integers(expression))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("44-19", CORRECT),
        (" ( 44 − 19 )\n", CORRECT),
        ("-19+44", CORRECT),
        ("44 - 19 = 25", UNREADABLE),
        ("25", WRONG_NUMBERS),
        ("44 - 19 + 0", WRONG_NUMBERS),
        ("044 - 19", WRONG_NUMBERS),
        ("44 - 20", WRONG_NUMBERS),
        ("44 / (19 - 19)", WRONG_NUMBERS),
        ("44 + 19", WRONG_VALUE),
        ("44.0 - 19", UNREADABLE),
        ("٤٤ - 19", UNREADABLE),
        ("44 ** 19", UNREADABLE),
        ("44 // 19", UNREADABLE),
        ("44 (19)", UNREADABLE),
        ("44 19 -", UNREADABLE),
        ("44 - 19)", UNREADABLE),
        ("()44 - 19", UNREADABLE),
        ("", UNREADABLE),
        ("The answer is 44 - 19", UNREADABLE),
        ("44 - <answer>44 - 19", CORRECT),
    ],
)
def test_answers(answer, expected):
    assert classify(answer) == expected


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("44 - 19", NO_ANSWER),
        ("<answer>44 - 19", NO_ANSWER),
        ("44 - 19</answer>", NO_ANSWER),
        ("<answer>1</answer> or <answer>44 - 19</answer> <answer>", CORRECT),
        ("<answer>44 - 19</answer></answer>", CORRECT),
        ("<answer>44 - 19</answer> or <answer>1</answer>", WRONG_NUMBERS),
        ("</answer>44 - 19<answer>", NO_ANSWER),
    ],
)
def test_the_last_complete_answer_counts(response, expected):
    problem = tasks.Problem("25", "19, 44", "", 2, "")
    assert TASK.classify(problem, response) == expected
    assert TASK.classify(problem, response, truncated=True) == NO_ANSWER
    assert TASK.classify(problem, f"{response}<think>", rule="lenient") == NO_ANSWER
    assert TASK.classify(problem, f"<think></think>{response}", rule="lenient") == expected
    grades = {CORRECT: Outcome.CORRECT, NO_ANSWER: Outcome.NO_ANSWER}
    assert TASK.grade(problem, response) is grades.get(expected, Outcome.WRONG)
    with pytest.raises(UserError, match="answer_rule: no rule 'strict'"):
        TASK.grade(problem, response, rule="strict")


def test_division_by_zero_is_a_wrong_value():
    assert classify("44 / (19 - 19)", Goal(1, (44, 19, 19))) == WRONG_VALUE


# --- hostile answers ------------------------------------------------------------------------------------------------

#: Like hostile_texts.SHAPES.
ARITHMETIC = {
    "signs": ("", "-", "1"),
    "parentheses": ("", "(", "1"),
    "closed parentheses": ("1", ")", ""),
    "empty parentheses": ("", "()", ""),
    "powers": ("9", "**9", ""),
    "divisions": ("1", "/0", ""),
    "sum": ("1", "+1", ""),
    "digits": ("", "9", ""),
    "spaces": ("1", " ", "1"),
    "answers": ("", "<answer>", "</answer>"),
    "closed answers": ("<answer>", "</answer>", ""),
    "pairs of answers": ("", "<answer></answer>", ""),
}


def hostile(shape: str, size: int) -> str:
    prefix, part, suffix = (SHAPES | ARITHMETIC)[shape]
    return prefix + part * (size // len(part)) + suffix


@pytest.mark.parametrize("shape", SHAPES | ARITHMETIC)
def test_work_grows_linearly_and_nothing_raises(shape):
    small, large = (calls(classify, hostile(shape, size)) for size in (5_000, 10_000))
    assert large <= 2 * small + 50
    for rule in RULES:
        assert classify(hostile(shape, 1 << 17), rule=rule) != CORRECT


@pytest.mark.parametrize("depth", [900, 100_000])
def test_deep_parentheses_are_read(depth):
    assert classify("(" * depth + "44" + ")" * depth + "-" * (2 * depth + 1) + "19") == CORRECT
    assert classify("(" * depth + "44-19" + ")" * (depth - 1)) == UNREADABLE


@given(st.text(st.characters(exclude_categories=())) | st.lists(st.sampled_from([*"0123456789+-*/() =."])).map("".join))
def test_no_text_raises(text):
    for response in (text, f"<answer>{text}</answer>", f"<answer>44 - 19{text}</answer>"):
        for rule in RULES:
            assert grading.classify(Goal(25, (44, 19)), response, False, rule) in grading.CLASSES


READ = """
from fofg.tasks.countdown import grading
def read(text):
    assert grading.classify(grading.Goal(25, (44, 19)), text, False, 'published') != 'correct'
"""


def test_nothing_is_executed():
    assert_nothing_is_executed(READ, [f"<answer>{code}</answer>" for code in CODE])


# --- reasoning-gym's verifier ---------------------------------------------------------------------------------------


def _verifier():
    """Return a function that says whether reasoning-gym counts an answer as right."""
    module = sampler._countdown()
    dataset = module.CountdownDataset(module.CountdownConfig())
    return lambda answer, goal: dataset.score_answer(answer, {"metadata": goal._asdict()}) == 1.0


def _answers(solution: str, rng: Random) -> list[str]:
    """Return the solution, and answers that are wrong in a place."""
    place = rng.choice([i for i, character in enumerate(solution) if character in "+-*/"])
    changed = solution[:place] + rng.choice("+-*/") + solution[place + 1 :]
    digit = rng.choice([i for i, character in enumerate(solution) if character.isdigit()])
    slipped = solution[:digit] + rng.choice("123456789") + solution[digit + 1 :]
    return [solution, changed, slipped, f"{solution} + 1", f"({solution}"]


def test_grades_are_those_of_reasoning_gym():
    verifier, rng = _verifier(), Random(1)
    for _, goal, solution in sampler.sample(5, Split("any", 1, "train", [(2, 40), (3, 30), (4, 10)])):
        for answer in _answers(solution, rng):
            assert (classify(answer, goal) == CORRECT) == verifier(answer, goal), (answer, goal)


@pytest.mark.parametrize(
    ("answer", "goal", "ours"),
    [
        ("2**3", Goal(8, (2, 3)), False),  # a power is no operator of the game
        ("7 // 2", Goal(3, (2, 7)), False),  # nor is floor division
        ("4!", Goal(24, (4,)), False),  # nor a factorial
        ("sqrt(16)", Goal(4, (16,)), False),  # nor a function
        ("500 + 1/(97*98)", Goal(500, (1, 97, 98, 500)), False),  # close to the target is not the target
        ("44 − 19", Goal(25, (19, 44)), True),  # the sign that typography and the paper have
        ("6 × 8 ÷ 4", Goal(12, (4, 6, 8)), True),
    ],
)
def test_differences_from_reasoning_gym(answer, goal, ours):
    assert (classify(answer, goal) == CORRECT) is ours
    assert _verifier()(answer, goal) is not ours
