"""The Countdown task: its problems, and the grades of answers, compared with the verifier of reasoning-gym."""

import json
from fractions import Fraction
from itertools import chain
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


class Seed:
    """All that Countdown asks of the settings."""

    def __init__(self, seed: int = 42):
        self.seed = seed


def sample(split: str, *shares: tuple[int, int], seed: int = 42) -> list[tasks.Problem]:
    return list(TASK.sample(Seed(seed), Split("any", 1, split, list(shares))))


def row(truth, **info) -> dict:
    return {"data_source": "countdown", "reward_model": {"ground_truth": truth}, "extra_info": info}


GOAL = Goal(25, (44, 19))


def classify(answer: str, goal: Goal = GOAL, rule: str = "published") -> str:
    return grading.classify(goal, f"<answer>{answer}</answer>", False, rule)


# --- problems -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[tasks.Problem]]:
    return {split: sample(split, (2, 60), (3, 25), (5, 8)) for split in ("train", "test")}


def test_problems_are_in_range_and_solved_by_their_outputs(drawn):
    for problem in chain(*drawn.values()):
        goal = json.loads(problem.truth)
        assert len(goal["numbers"]) == problem.level and 1 <= goal["target"] <= 999
        assert all(1 <= number <= 100 for number in goal["numbers"])
        assert TASK.grade(problem, f"<answer>{problem.output}</answer>") is Outcome.CORRECT


def test_no_problem_repeats_and_none_is_in_train_and_test(drawn):
    keys = {split: [(problem.question, problem.input) for problem in problems] for split, problems in drawn.items()}
    assert all(len(set(of_split)) == len(of_split) for of_split in keys.values())
    for split, other in (("train", "test"), ("test", "train")):
        assert not {*keys[other]} & {
            (problem.question, problem.input) for problem in [*drawn[split], *sample(split, (2, 100), seed=7)]
        }


def test_the_first_problems_stay_the_same(drawn):
    assert sample("train", (3, 10)) == drawn["train"][60:70]
    assert sample("train", (2, 5), seed=43) != drawn["train"][:5]


def test_a_used_up_training_split_goes_round_and_a_test_split_is_an_error(monkeypatch):
    few = [(Goal(target, (1, target - 1)), "") for target in range(2, 30)]
    monkeypatch.setattr(sampler, "_draw", lambda seed, level: (few[i % len(few)] for i in range(10**6)))
    sides = {side: [goal for goal, _ in few if sampler.is_test(goal) == side] for side in (False, True)}
    train = [goal for _, goal, _ in sampler.sample(1, Split("d", 1, "train", [(2, 2 * len(sides[False]))]))]
    assert sorted(train) == sorted(2 * sides[False])
    with pytest.raises(UserError, match=rf"datasets\.d: only {len(sides[True])} test problems of 2 integers; lower test"):
        list(sampler.sample(1, Split("d", 1, "test", [(2, len(few))])))


@pytest.mark.parametrize("level", [1, 7])
def test_levels_without_problems_are_an_error(level):
    with pytest.raises(UserError, match=rf"datasets\.any\.levels: {level}, but problems have 2 to 6 integers"):
        sample("train", (level, 1))


@pytest.mark.parametrize(
    "truth",
    [
        {"target": 25, "numbers": [44, 19]},
        {"nums": [44, 19], "target": 25},
        {"question": "?", "answer": "44 - 19", "metadata": {"numbers": [44, 19], "target": 25, "source_dataset": "countdown"}},
    ],
)
def test_rows_of_others_are_read(truth):
    read = [TASK.read(row(written), "row 1") for written in (json.dumps(truth), truth)]
    assert [(one.question, one.input, one.level) for one in read] == 2 * [("25", "19, 44", 2)]
    assert TASK.prompt(read[0], "{target} of {numbers} {", True) == [{"role": "user", "content": "25 of 44, 19 {"}]
    assert tasks.of_row(row("") | {"data_source": "reasoning_gym/countdown"}, "row 1").name == "countdown"


@pytest.mark.parametrize(
    "truth",
    [None, "", "25", "[]", '{"target": 25}', '{"target": "25", "numbers": [1]}', '{"target": 1, "numbers": []}', "[" * 10**5]
    + [json.dumps({"target": 25, "numbers": numbers}) for numbers in (7, "44", [4.5], [True], [-1], [10**10], [1] * 33)],
)
def test_other_ground_truths_are_an_error(truth):
    with pytest.raises(UserError, match=r'f\.parquet: row 3: reward_model\.ground_truth must be JSON like {"target": 25'):
        TASK.read(row(truth), "f.parquet: row 3")


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
    problem = TASK.read(row('{"target": 25, "numbers": [44, 19]}'), "row 1")
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


def _answers(problem: tasks.Problem, rng: Random) -> list[str]:
    """Return a solution, and answers that are wrong in a place."""
    solution = problem.output
    place = rng.choice([i for i, character in enumerate(solution) if character in "+-*/"])
    changed = solution[:place] + rng.choice("+-*/") + solution[place + 1 :]
    digit = rng.choice([i for i, character in enumerate(solution) if character.isdigit()])
    slipped = solution[:digit] + rng.choice("123456789") + solution[digit + 1 :]
    return [solution, changed, slipped, f"{solution} + 1", f"({solution}"]


def test_grades_are_those_of_reasoning_gym(drawn):
    verifier, rng = _verifier(), Random(1)
    for problem in drawn["train"]:
        goal = Goal(**json.loads(problem.truth))
        for answer in _answers(problem, rng):
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
