"""Expressions over one input ``x``: a small tree with text, evaluation without ``eval``, and a trace of every step."""

import ast
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from fofg.errors import UserError
from fofg.tasks.strings.functions import DECLARED, FUNCTIONS, PUBLIC_NAMES, READABLE_NAMES

#: String methods that the paper's sampler uses, as operators.
METHODS = {".upper": str.upper, ".lower": str.lower, ".capitalize": str.capitalize, ".swapcase": str.swapcase}
_BUILT_IN: dict[str, Callable[..., str]] = {"+": operator.add, **METHODS}
#: What ``parse`` reads at most, far above any sampled problem: the depth of a tree, and an integer.
MAX_DEPTH = 100
MAX_INTEGER = 99


class OutputTooLong(Exception):
    """A step of the evaluation returned a string longer than the cap."""


class Leaf(NamedTuple):
    """The input ``x`` (``literal`` None), or a string written in the expression."""

    literal: str | None = None


class Operation(NamedTuple):
    """``operator``: a function's readable name, ``+``, or one of METHODS; ``parameters``: plain strings or integers."""

    operator: str
    operands: tuple["Node", ...]
    parameters: tuple[str | int, ...] = ()


Node = Leaf | Operation
#: The input.
X = Leaf()


class Step(NamedTuple):
    """One evaluated operation: its operator as written, the values it took (operands, then parameters), and its result."""

    operator: str
    arguments: tuple[str | int, ...]
    output: str


class Size(NamedTuple):
    """``depth``: height of the tree (leaves 0); ``level``: calls on the longest path; ``calls``: calls in all."""

    depth: int = 0
    level: int = 0
    calls: int = 0


def apply(name: str, operands: Sequence[str], parameters: tuple[str | int, ...] = ()) -> str:
    """Apply an operator to the values of its operands."""
    return (FUNCTIONS.get(name) or _BUILT_IN[name])(*operands, *parameters)


def text(node: Node, names: Mapping[str, str] = PUBLIC_NAMES) -> str:
    """Return an expression as Python code; ``names``: readable name -> shown name of the functions."""
    if len(node) == 1:
        return "x" if node.literal is None else repr(node.literal)
    operands = [text(operand, names) for operand in node.operands]
    if node.operator == "+":
        return f"({operands[0]} + {operands[1]})"
    if node.operator in METHODS:
        return f"({operands[0]}){node.operator}()"
    return f"{names[node.operator]}({', '.join([*operands, *map(repr, node.parameters)])})"


def evaluate(node: Node, x: str, cap: int | None = None) -> str:
    """Return the value for input ``x``. Raises OutputTooLong as soon as a step's output has more than ``cap`` characters."""
    if len(node) == 1:
        return x if node.literal is None else node.literal
    output = apply(node.operator, [evaluate(operand, x, cap) for operand in node.operands], node.parameters)
    if cap is not None and len(output) > cap:
        raise OutputTooLong
    return output


def steps(node: Node, x: str) -> list[Step]:
    """Return every operation in the order of evaluation (innermost first), with its arguments and result."""
    trace: list[Step] = []

    def run(node: Node) -> str:
        if isinstance(node, Leaf):
            return evaluate(node, x)
        values = [run(operand) for operand in node.operands]
        output = apply(node.operator, values, node.parameters)
        trace.append(Step(shown(node), (*values, *node.parameters), output))
        return output

    run(node)
    return trace


def shown(node: Operation) -> str:
    """Return an operator as prompts and traces write it."""
    return PUBLIC_NAMES.get(node.operator, node.operator)


def nodes(node: Node) -> Iterator[Node]:
    """Yield a tree's nodes, innermost first."""
    if isinstance(node, Operation):
        for operand in node.operands:
            yield from nodes(operand)
    yield node


def size(node: Node) -> Size:
    """Measure a tree."""
    if len(node) == 1:
        return Size()
    call = node.operator in FUNCTIONS
    depth, level, calls = size(node.operands[0])
    if len(node.operands) > 1:
        other = size(node.operands[1])
        depth, level, calls = max(depth, other.depth), max(level, other.level), calls + other.calls
    return Size(depth + 1, level + call, calls + call)


def parse(written: str) -> Node:
    """Parse an expression with ``func_N`` or readable names into a tree; the inverse of ``text``.

    Raises UserError for anything that is not an expression of this grammar; nothing in the text is ever executed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(written, mode="eval").body
        return _node(tree, MAX_DEPTH)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"not an expression of string functions: {written[:200]!r} ({error})") from None


def _node(tree: ast.expr, room: int) -> Node:
    if not room:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    match tree:
        case ast.Name(id="x"):
            return X
        case ast.Constant(value=str(value), kind=None):
            return Leaf(value)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return Operation("+", (_node(left, room - 1), _node(right, room - 1)))
        case ast.Call(func=ast.Attribute(value=operand, attr=name), args=[], keywords=[]) if f".{name}" in METHODS:
            return Operation(f".{name}", (_node(operand, room - 1),))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _call(name, arguments, room - 1)
    raise ValueError(f"unexpected {type(tree).__name__}")


def _call(name: str, arguments: list[ast.expr], room: int) -> Operation:
    function = READABLE_NAMES.get(name, name)
    if function not in FUNCTIONS:
        raise ValueError(f"unknown function {name}")
    strings, parameter = DECLARED[function].operands, DECLARED[function].parameter
    if len(arguments) != strings + (parameter is not None):
        raise ValueError(f"{name} takes {strings} string(s)" + (f" and one {parameter.type.__name__}" if parameter else ""))
    parameters = tuple(_parameter(name, argument, parameter.type) for argument in arguments[strings:] if parameter)
    return Operation(function, tuple(_node(argument, room) for argument in arguments[:strings]), parameters)


def _parameter(name: str, tree: ast.expr, expected: type) -> str | int:
    match tree:
        case ast.Constant(value=str(value), kind=None) if expected is str:
            return value
        case ast.Constant(value=int(value)) if expected is int and not isinstance(value, bool) and value <= MAX_INTEGER:
            return value
    raise ValueError(f"the parameter of {name} is " + ("a string" if expected is str else f"an integer of at most {MAX_INTEGER}"))
