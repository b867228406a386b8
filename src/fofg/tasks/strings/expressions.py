"""Expressions over one input ``x``: a small typed tree with text, evaluation without ``eval``, and a trace of every step."""

import ast
import warnings
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import NamedTuple

from fofg.errors import UserError
from fofg.tasks.strings.functions import FUNCTIONS, PARAMETERS, PUBLIC_NAMES, READABLE_NAMES, TWO_OPERANDS

#: String methods that the paper's sampler uses.
METHODS = {"upper": str.upper, "lower": str.lower, "capitalize": str.capitalize, "swapcase": str.swapcase}
#: What ``parse`` reads at most, far above any sampled problem: the depth of a tree, and an integer.
MAX_DEPTH = 100
MAX_INTEGER = 99

_BITS = {name: 1 << i for i, name in enumerate(FUNCTIONS)}


class OutputTooLong(Exception):
    """A step of the evaluation gave a string above the cap."""


class Step(NamedTuple):
    """One evaluated operation: its operator as written, the values it took (operands, then parameters), and its result."""

    operator: str
    arguments: tuple[str | int, ...]
    output: str


class Node(ABC):
    """A sub-expression, never changed once made.

    ``depth`` is the height of the tree (leaves 0), ``level`` the calls on the longest path, ``calls`` the calls in all.
    Everything that is asked of every problem is kept from the start, since millions of them are made.
    """

    __slots__ = ("_text", "_used")
    children: tuple["Node", ...] = ()
    depth = 0
    level = 0
    calls = 0

    def text(self, names: dict[str, str] = PUBLIC_NAMES) -> str:
        """Python text of the expression, its functions named by ``names`` (readable name -> shown name)."""
        return self._text if names is PUBLIC_NAMES else self._renamed(names)

    @abstractmethod
    def evaluate(self, x: str, cap: int | None = None) -> str:
        """The value for input ``x``. Raises OutputTooLong as soon as a step's output has more than ``cap`` characters."""

    def steps(self, x: str, cap: int | None = None) -> list[Step]:
        """Every operation in the order of evaluation (innermost first), with the values that it took and gave.

        Raises OutputTooLong as ``evaluate`` does.
        """
        trace: list[Step] = []
        self._trace(x, cap, trace)
        return trace

    def functions(self) -> list[str]:
        """Readable names of the functions used, each once, in order of their public number."""
        return list(_names(self._used))

    def _renamed(self, names: dict[str, str]) -> str:
        return self._text

    def _trace(self, x: str, cap: int | None, trace: list[Step]) -> str:
        return self.evaluate(x)

    def __eq__(self, other):
        return isinstance(other, Node) and self._text == other._text

    def __hash__(self):
        return hash(self._text)

    def __repr__(self):
        return f"<{self.text(dict(zip(FUNCTIONS, FUNCTIONS)))}>"


@lru_cache(maxsize=4096)
def _names(used: int) -> tuple[str, ...]:
    return tuple(name for name, bit in _BITS.items() if used & bit)


class Variable(Node):
    """The input."""

    __slots__ = ()

    def __init__(self):
        self._text, self._used = "x", 0

    def evaluate(self, x, cap=None):
        return x


class Literal(Node):
    """A string written in the expression."""

    __slots__ = ("value",)

    def __init__(self, value: str):
        self.value, self._text, self._used = value, repr(value), 0

    def evaluate(self, x, cap=None):
        return self.value


#: The input, as all expressions that are sampled or read share it.
X = Variable()


class _Operation(Node):
    __slots__ = ("calls", "children", "depth", "level")

    @abstractmethod
    def _apply(self, values: list[str]) -> str:
        """The operation's output for the values of its children."""

    @abstractmethod
    def _operator(self) -> str:
        """The operator as a trace shows it."""

    def _parameters(self) -> tuple[str | int, ...]:
        return ()

    def evaluate(self, x, cap=None):
        value = self._apply([child.evaluate(x, cap) for child in self.children])
        if cap is not None and len(value) > cap:
            raise OutputTooLong
        return value

    def _trace(self, x, cap, trace):
        values = [child._trace(x, cap, trace) for child in self.children]
        output = self._apply(values)
        if cap is not None and len(output) > cap:
            raise OutputTooLong
        trace.append(Step(self._operator(), (*values, *self._parameters()), output))
        return output


class Concat(_Operation):
    """``(left + right)``."""

    __slots__ = ()

    def __init__(self, left: Node, right: Node):
        self.children = (left, right)
        self.depth = 1 + (left.depth if left.depth > right.depth else right.depth)
        self.level = left.level if left.level > right.level else right.level
        self.calls = left.calls + right.calls
        self._used = left._used | right._used
        self._text = f"({left._text} + {right._text})"

    def _renamed(self, names):
        left, right = self.children
        return f"({left._renamed(names)} + {right._renamed(names)})"

    def _apply(self, values):
        return values[0] + values[1]

    def _operator(self):
        return "+"


class Method(_Operation):
    """``(operand).name()`` for one of METHODS."""

    __slots__ = ("name",)

    def __init__(self, name: str, operand: Node):
        self.name = name
        self.children = (operand,)
        self.depth, self.level, self.calls = operand.depth + 1, operand.level, operand.calls
        self._used = operand._used
        self._text = f"({operand._text}).{name}()"

    def _renamed(self, names):
        return f"({self.children[0]._renamed(names)}).{self.name}()"

    def _apply(self, values):
        return METHODS[self.name](values[0])

    def _operator(self):
        return f".{self.name}"


class Call(_Operation):
    """``function(operand, ..., parameter)``; ``function`` is a readable name, a parameter a plain string or integer."""

    __slots__ = ("function", "parameters")

    def __init__(self, function: str, operands: tuple[Node, ...], parameters: tuple[str | int, ...] = ()):
        self.function = function
        self.children = operands
        self.parameters = parameters
        first = operands[0]
        self.depth, self.level, self.calls = first.depth + 1, first.level + 1, first.calls + 1
        self._used = first._used | _BITS[function]
        text = f"{PUBLIC_NAMES[function]}({first._text}"
        if len(operands) > 1:
            second = operands[1]
            if second.depth >= self.depth:
                self.depth = second.depth + 1
            if second.level >= self.level:
                self.level = second.level + 1
            self.calls += second.calls
            self._used |= second._used
            text += f", {second._text}"
        self._text = f"{text}, {parameters[0]!r})" if parameters else text + ")"

    def _renamed(self, names):
        arguments = [child._renamed(names) for child in self.children]
        arguments.extend(map(repr, self.parameters))
        return f"{names[self.function]}({', '.join(arguments)})"

    def _apply(self, values):
        return FUNCTIONS[self.function](*values, *self.parameters)

    def _operator(self):
        return PUBLIC_NAMES[self.function]

    def _parameters(self):
        return self.parameters


def parse(text: str) -> Node:
    """The tree of an expression written with ``func_N`` or readable names; the inverse of ``Node.text``.

    Raises UserError for anything that is no expression of this grammar; nothing in the text is ever executed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, mode="eval").body
        return _node(tree, MAX_DEPTH)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"not an expression of string functions: {text[:200]!r} ({error})") from None


def _node(tree: ast.expr, room: int) -> Node:
    if not room:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    match tree:
        case ast.Name(id="x"):
            return X
        case ast.Constant(value=str(value), kind=None):
            return Literal(value)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return Concat(_node(left, room - 1), _node(right, room - 1))
        case ast.Call(func=ast.Attribute(value=operand, attr=name), args=[], keywords=[]) if name in METHODS:
            return Method(name, _node(operand, room - 1))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _call(name, arguments, room - 1)
    raise ValueError(f"unexpected {type(tree).__name__}")


def _call(name: str, arguments: list[ast.expr], room: int) -> Call:
    function = READABLE_NAMES.get(name, name)
    if function not in FUNCTIONS:
        raise ValueError(f"unknown function {name}")
    strings = 2 if function in TWO_OPERANDS else 1
    expected = PARAMETERS.get(function)
    if len(arguments) != strings + (expected is not None):
        raise ValueError(f"{name} takes {strings} string(s)" + (f" and one {expected.__name__}" if expected else ""))
    parameters = tuple(_parameter(name, argument, expected) for argument in arguments[strings:])
    return Call(function, tuple(_node(argument, room) for argument in arguments[:strings]), parameters)


def _parameter(name: str, tree: ast.expr, expected: type) -> str | int:
    match tree:
        case ast.Constant(value=str(value), kind=None) if expected is str:
            return value
        case ast.Constant(value=int(value)) if expected is int and not isinstance(value, bool) and value <= MAX_INTEGER:
            return value
    raise ValueError(f"the parameter of {name} is " + ("a string" if expected is str else f"an integer of at most {MAX_INTEGER}"))
