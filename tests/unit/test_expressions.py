"""Expressions: text, evaluation, trace and measures agree, and hostile text is refused."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fofg.errors import UserError
from fofg.tasks.strings.expressions import METHODS, Call, Concat, Literal, Method, OutputTooLong, X, parse
from fofg.tasks.strings.functions import FUNCTIONS, PARAMETERS, PUBLIC_NAMES, TWO_OPERANDS

READABLE = {name: name for name in FUNCTIONS}
PARAMETER_VALUES = {int: st.integers(0, 5), str: st.text(max_size=3)}


def _calls(children):
    def build(name):
        operands = st.tuples(*[children] * (2 if name in TWO_OPERANDS else 1))
        parameters = st.tuples(PARAMETER_VALUES[PARAMETERS[name]]) if name in PARAMETERS else st.just(())
        return st.builds(Call, st.just(name), operands, parameters)

    return st.sampled_from(list(FUNCTIONS)).flatmap(build)


texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8)
trees = st.recursive(
    st.just(X) | st.builds(Literal, texts),
    lambda children: (
        _calls(children) | st.builds(Concat, children, children) | st.builds(Method, st.sampled_from(list(METHODS)), children)
    ),
    max_leaves=8,
)


@given(trees)
def test_parse_is_the_inverse_of_text(tree):
    for names in (PUBLIC_NAMES, READABLE):
        again = parse(tree.text(names))
        assert again == tree
        assert (again.depth, again.level, again.calls, again.functions()) == (tree.depth, tree.level, tree.calls, tree.functions())


@given(trees, texts)
def test_evaluation_is_what_python_gives(tree, x):
    expected = eval(tree.text(READABLE), dict(FUNCTIONS), {"x": x})
    assert tree.evaluate(x) == expected


@given(trees, texts)
def test_trace_is_the_evaluation_step_by_step(tree, x):
    steps = tree.steps(x)
    assert (steps[-1].output if steps else tree.evaluate(x)) == tree.evaluate(x)
    assert sum(step.operator in PUBLIC_NAMES.values() for step in steps) == tree.calls
    for step in steps:
        if step.operator == "+":
            expected = step.arguments[0] + step.arguments[1]
        elif step.operator.startswith("."):
            expected = METHODS[step.operator[1:]](*step.arguments)
        else:
            expected = FUNCTIONS[parse(f"{step.operator}({', '.join(map(repr, step.arguments))})").function](*step.arguments)
        assert step.output == expected


@given(trees, texts, st.integers(0, 12))
def test_cap_holds_at_every_step(tree, x, cap):
    longest = max((len(step.output) for step in tree.steps(x)), default=0)
    if longest > cap:
        for run in (tree.evaluate, tree.steps):
            with pytest.raises(OutputTooLong):
                run(x, cap)
    else:
        assert tree.evaluate(x, cap) == tree.evaluate(x)
        assert tree.steps(x, cap) == tree.steps(x)


@given(trees)
def test_measures_agree_with_the_text(tree):
    def measure(node):
        """(depth, level, calls) read off Python's own syntax tree."""
        match node:
            case ast.Name() | ast.Constant():
                return 0, 0, 0
            case ast.BinOp(left=left, right=right):
                operands, call = [left, right], 0
            case ast.Call(func=ast.Attribute(value=value)):
                operands, call = [value], 0
            case ast.Call(func=ast.Name(id=name), args=args):
                operands, call = args[: 2 if name in TWO_OPERANDS else 1], 1
        depths, levels, calls = zip(*map(measure, operands))
        return max(depths) + 1, max(levels) + call, sum(calls) + call

    text = tree.text(READABLE)
    assert (tree.depth, tree.level, tree.calls) == measure(ast.parse(text, mode="eval").body)
    used = {node.func.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert tree.functions() == [name for name in FUNCTIONS if name in used]


def test_growth_is_stopped_early():
    tree = X
    for _ in range(60):
        tree = Call("repeat_str", (tree,), (4,))
    with pytest.raises(OutputTooLong):
        tree.evaluate("abc", cap=1000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "y",
        "1",
        "x x",
        "x\x00",
        "\ud800",
        "func_25(x)",
        "func_2()",
        "func_2(x, x)",
        "func_2(x, 1)",
        "func_2(s=x)",
        "func_2(*x)",
        "func_1(x)",
        "func_1(x, '2')",
        "func_1(x, True)",
        "func_1(x, -1)",
        "func_1(x, 1.5)",
        "func_1(x, 10**9)",
        "func_1(x, 999999999)",
        "func_5(x, x)",
        "func_5(x, 3)",
        "func_7(x)",
        "func_7(x, x, x)",
        "x.strip()",
        "x.upper",
        "x.upper(1)",
        "x - x",
        "x * 9",
        "b'x'",
        "f'{x}'",
        "[x]",
        "lambda: x",
        "(x := 'a')",
        "x if x else x",
        "__import__('os').system('true')",
        "().__class__.__bases__",
        "print(x)",
        "func_1(x, 1" + "0" * 10_000 + ")",
        "(" * 100_000,
        "(" * 10_000 + "x" + ")" * 10_000,
        "func_2(" * 150 + "x" + ")" * 150,
        " + ".join(["x"] * 50_000),
        "-" * 100_000 + "1",
        "'unclosed",
        "x\n + x",
        "import os",
    ],
)
def test_hostile_text_is_refused(text):
    with pytest.raises(UserError, match="not an expression"):
        parse(text)


@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        tree = parse(text)
    except UserError:
        return
    assert parse(tree.text()) == tree
