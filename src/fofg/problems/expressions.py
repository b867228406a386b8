"""Expressions over one input ``x``: a small typed tree with text, evaluation without ``eval``, and a trace of every step."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from fofg.errors import UserError
from fofg.problems.functions import FUNCTIONS, PUBLIC_NAMES, READABLE_NAMES, TWO_OPERANDS

#: String methods that the paper's sampler uses.
METHODS = {"upper": str.upper, "lower": str.lower, "capitalize": str.capitalize, "swapcase": str.swapcase}


class OutputTooLong(Exception):
    """A step of the evaluation gave a string above the cap."""


class Step(NamedTuple):
    """One evaluated operation: its operator as written, the values it took (operands, then parameters), and its result."""

    operator: str
    arguments: tuple[str | int, ...]
    output: str


class Node:
    """A sub-expression. ``depth`` is the height of the tree (leaves 0); ``level`` counts only the calls on the longest path."""

    __slots__ = ()
    children: tuple["Node", ...] = ()
    depth = 0
    level = 0
    calls = 0

    def text(self, names: dict[str, str] = PUBLIC_NAMES) -> str:
        """Python text of the expression, its functions named by ``names`` (readable name -> shown name)."""
        raise NotImplementedError

    def evaluate(self, x: str, cap: int | None = None) -> str:
        """The value for input ``x``. Raises OutputTooLong as soon as a step's output has more than ``cap`` characters."""
        raise NotImplementedError

    def steps(self, x: str) -> list[Step]:
        """Every operation in the order of evaluation (innermost first), with the values that it took and gave."""
        trace: list[Step] = []
        self._trace(x, trace)
        return trace

    def functions(self) -> list[str]:
        """Readable names of the functions used, each once, in order of their public number."""
        used = set(self._called())
        return [name for name in FUNCTIONS if name in used]

    def _called(self) -> Iterator[str]:
        for child in self.children:
            yield from child._called()

    def _trace(self, x: str, trace: list[Step]) -> str:
        return self.evaluate(x)

    def __eq__(self, other):
        return isinstance(other, Node) and self.text() == other.text()

    def __hash__(self):
        return hash(self.text())

    def __repr__(self):
        return f"<{self.text(dict(zip(FUNCTIONS, FUNCTIONS)))}>"


class Variable(Node):
    """The input."""

    __slots__ = ()

    def text(self, names=PUBLIC_NAMES):
        return "x"

    def evaluate(self, x, cap=None):
        return x


class Literal(Node):
    """A string written in the expression."""

    __slots__ = ("value",)

    def __init__(self, value: str):
        self.value = value

    def text(self, names=PUBLIC_NAMES):
        return repr(self.value)

    def evaluate(self, x, cap=None):
        return self.value


class _Operation(Node):
    __slots__ = ("children", "depth", "level", "calls")

    def __init__(self, children: tuple[Node, ...], is_call: bool):
        self.children = children
        if len(children) == 1:
            (child,) = children
            self.depth, self.level, self.calls = child.depth + 1, child.level + is_call, child.calls + is_call
        else:
            left, right = children
            self.depth = 1 + max(left.depth, right.depth)
            self.level = max(left.level, right.level) + is_call
            self.calls = left.calls + right.calls + is_call

    def _apply(self, values: list[str]) -> str:
        raise NotImplementedError

    def _operator(self) -> str:
        raise NotImplementedError

    def _parameters(self) -> tuple[str | int, ...]:
        return ()

    def evaluate(self, x, cap=None):
        value = self._apply([child.evaluate(x, cap) for child in self.children])
        if cap is not None and len(value) > cap:
            raise OutputTooLong
        return value

    def _trace(self, x, trace):
        values = [child._trace(x, trace) for child in self.children]
        output = self._apply(values)
        trace.append(Step(self._operator(), (*values, *self._parameters()), output))
        return output


class Concat(_Operation):
    """``(left + right)``."""

    __slots__ = ()

    def __init__(self, left: Node, right: Node):
        super().__init__((left, right), is_call=False)

    def text(self, names=PUBLIC_NAMES):
        left, right = self.children
        return f"({left.text(names)} + {right.text(names)})"

    def _apply(self, values):
        return values[0] + values[1]

    def _operator(self):
        return "+"


class Method(_Operation):
    """``(operand).name()`` for one of METHODS."""

    __slots__ = ("name",)

    def __init__(self, name: str, operand: Node):
        self.name = name
        super().__init__((operand,), is_call=False)

    def text(self, names=PUBLIC_NAMES):
        return f"({self.children[0].text(names)}).{self.name}()"

    def _apply(self, values):
        return METHODS[self.name](values[0])

    def _operator(self):
        return f".{self.name}"


class Call(_Operation):
    """``function(operand, ..., parameter, ...)``; ``function`` is a readable name, parameters are plain strings or integers."""

    __slots__ = ("function", "parameters")

    def __init__(self, function: str, operands: tuple[Node, ...], parameters: tuple[str | int, ...] = ()):
        self.function = function
        self.parameters = parameters
        super().__init__(operands, is_call=True)

    def text(self, names=PUBLIC_NAMES):
        arguments = [child.text(names) for child in self.children]
        arguments.extend(map(repr, self.parameters))
        return f"{names[self.function]}({', '.join(arguments)})"

    def _called(self):
        yield self.function
        yield from super()._called()

    def _apply(self, values):
        return FUNCTIONS[self.function](*values, *self.parameters)

    def _operator(self):
        return PUBLIC_NAMES[self.function]

    def _parameters(self):
        return self.parameters


def parse(text: str) -> Node:
    """The tree of an expression written with ``func_N`` or readable names.

    Raises UserError for anything that is no expression of this grammar; nothing in the text is ever executed.
    """
    try:
        return _node(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"not an expression of string functions: {text[:200]!r} ({error})") from None


def _node(tree: ast.expr) -> Node:
    match tree:
        case ast.Name(id="x"):
            return Variable()
        case ast.Constant(value=str(value)):
            return Literal(value)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return Concat(_node(left), _node(right))
        case ast.Call(func=ast.Attribute(value=operand, attr=name), args=[], keywords=[]) if name in METHODS:
            return Method(name, _node(operand))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            function = READABLE_NAMES.get(name, name)
            if function not in FUNCTIONS:
                raise ValueError(f"unknown function {name}")
            count = 2 if function in TWO_OPERANDS else 1
            if len(arguments) not in (count, count + 1):
                raise ValueError(f"{name} takes {count} strings")
            return Call(function, tuple(map(_node, arguments[:count])), tuple(map(_parameter, arguments[count:])))
    raise ValueError(f"unexpected {type(tree).__name__}")


def _parameter(tree: ast.expr) -> str | int:
    match tree:
        case ast.Constant(value=str(value) | int(value)) if not isinstance(value, bool):
            return value
    raise ValueError("a parameter is a string or an integer")
