"""Expressions: text, evaluation, trace and measures agree, and hostile text is refused."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fofg.errors import UserError
from fofg.tasks.strings.expressions import METHODS, Leaf, Operation, OutputTooLong, X, evaluate, parse, size, steps, text
from fofg.tasks.strings.functions import DECLARED, FUNCTIONS, PUBLIC_NAMES, READABLE_NAMES

READABLE = {name: name for name in FUNCTIONS}
PARAMETER_VALUES = {int: st.integers(0, 5), str: st.text(max_size=3)}


def _calls(children):
    def build(name):
        declared = DECLARED[name]
        parameters = st.tuples(PARAMETER_VALUES[declared.parameter.type]) if declared.parameter else st.just(())
        return st.builds(Operation, st.just(name), st.tuples(*[children] * declared.operands), parameters)

    return st.sampled_from(list(FUNCTIONS)).flatmap(build)


texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8)
trees = st.recursive(
    st.just(X) | st.builds(Leaf, texts),
    lambda children: (
        _calls(children)
        | st.builds(Operation, st.just("+"), st.tuples(children, children), st.just(()))
        | st.builds(Operation, st.sampled_from(list(METHODS)), st.tuples(children), st.just(()))
    ),
    max_leaves=8,
)


@given(trees)
def test_parse_is_the_inverse_of_text(tree):
    for names in (PUBLIC_NAMES, READABLE):
        assert parse(text(tree, names)) == tree


@given(trees, texts)
def test_evaluation_is_what_python_gives(tree, x):
    expected = eval(text(tree, READABLE), dict(FUNCTIONS), {"x": x})
    assert evaluate(tree, x) == expected


@given(trees, texts)
def test_trace_is_the_evaluation_step_by_step(tree, x):
    trace = steps(tree, x)
    assert (trace[-1].output if trace else evaluate(tree, x)) == evaluate(tree, x)
    assert sum(step.operator in PUBLIC_NAMES.values() for step in trace) == size(tree).calls
    for step in trace:
        if step.operator == "+":
            expected = step.arguments[0] + step.arguments[1]
        elif step.operator.startswith("."):
            expected = METHODS[step.operator](*step.arguments)
        else:
            expected = FUNCTIONS[READABLE_NAMES[step.operator]](*step.arguments)
        assert step.output == expected


@given(trees, texts, st.integers(0, 12))
def test_cap_holds_at_every_step(tree, x, cap):
    if max((len(step.output) for step in steps(tree, x)), default=0) > cap:
        with pytest.raises(OutputTooLong):
            evaluate(tree, x, cap)
    else:
        assert evaluate(tree, x, cap) == evaluate(tree, x)


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
                operands, call = args[: DECLARED[name].operands], 1
        depths, levels, calls = zip(*map(measure, operands))
        return max(depths) + 1, max(levels) + call, sum(calls) + call

    assert size(tree) == measure(ast.parse(text(tree, READABLE), mode="eval").body)


def test_growth_is_stopped_early():
    tree = X
    for _ in range(60):
        tree = Operation("repeat_str", (tree,), (4,))
    with pytest.raises(OutputTooLong):
        evaluate(tree, "abc", cap=1000)


HOSTILE = [
    *("", "x x", "x\x00", "\ud800", "'unclosed", "x\n + x", "x - x", "b'x'", "f'{x}'", "lambda: x", "(x := 'a')", "x if x else x"),
    *("func_25(x)", "func_2()", "func_2(x, x)", "func_2(s=x)", "func_2(*x)", "func_1(x)", "func_5(x, x)", "func_7(x, x, x)"),
    *("func_1(x, '2')", "func_1(x, True)", "func_1(x, 1.5)", "func_1(x, 10**9)", "func_1(x, 999999999)"),
    *("x.strip()", "x.upper(1)", "__import__('os').system('true')", "().__class__.__bases__", "func_1(x, 1" + "0" * 10_000 + ")"),
    *("(" * 100_000, "(" * 10_000 + "x" + ")" * 10_000, "func_2(" * 150 + "x" + ")" * 150),
    *(" + ".join(["x"] * 50_000), "-" * 100_000 + "1"),
]


@pytest.mark.parametrize("written", HOSTILE)
def test_hostile_text_is_refused(written):
    with pytest.raises(UserError, match="not an expression"):
        parse(written)


@given(st.text())
def test_any_text_is_read_or_refused(written):
    try:
        tree = parse(written)
    except UserError:
        return
    assert parse(text(tree)) == tree
