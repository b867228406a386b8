"""Align the steps of a response with the operations of an expression, and find what is missing (paper §4.5)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice, product
from typing import NamedTuple

from fofg.tasks.strings.expressions import Leaf, Node, Operation, apply, evaluate, nodes, shown
from fofg.tasks.strings.failures_reading import NamedStep
from fofg.tasks.strings.functions import FUNCTIONS

#: Limits on the values that a sub-expression may have in a response, and on the distinct steps that count.
_MAX_VALUES = 8
_MAX_STEPS = 1000


class Solution:
    """An expression and an input, with everything that its responses are compared with. ``output``: the right answer."""

    def __init__(self, expression: Node, x: str):
        self.expression, self.x = expression, x
        inner = list(nodes(expression))
        operations = [node for node in inner if isinstance(node, Operation)]
        true = {id(node): evaluate(node, x) for node in inner}
        self.output = true[id(expression)]
        self.parts = {value for key, value in true.items() if key != id(expression)}
        self.shortcuts = self.parts | {value for node in operations for value in _on_input(node, x, true)}
        #: Every string that the problem shows or leads to.
        self.strings = {*true.values(), *(p for node in operations for p in node.parameters if isinstance(p, str))}
        self.longest = 64 + 4 * max(map(len, self.strings))
        self.parameters: dict[str, set] = defaultdict(set)
        for node in operations:
            self.parameters[shown(node)].update(node.parameters)


class Alignment(NamedTuple):
    """Counts of an alignment.

    ``missing``: calls, and the outermost operation, that no step works and no later value shows. ``foreign``: steps that work no
    operation of the expression; ``beyond``: those of them after the outermost operation. ``elsewhere``: strings of the problem and
    of the steps that are not the expression's value as the steps have it. ``steps``: distinct steps.
    """

    missing: int
    foreign: int
    beyond: int
    elsewhere: set[str]
    steps: int


class _DistinctStep(NamedTuple):
    operator: str
    arguments: tuple | None
    strings: tuple[str | None, ...]
    integers: tuple[int, ...]
    in_words: bool
    outputs: list[str]


class _Values(NamedTuple):
    """Values that a sub-expression may have in a response.

    ``values``: value -> operations missing before it; ``missing``: those missing before any other value.
    """

    values: dict[str, frozenset[int]]
    missing: frozenset[int]

    def before(self, named: Iterable[str | None]) -> frozenset[int]:
        """Return the operations missing before this value, if one of the strings is a known value."""
        return min((self.values[text] for text in named if text in self.values), key=len, default=self.missing)


def align(solution: Solution, named: list[NamedStep], answer: str | None) -> Alignment:
    """Match steps with operations. Values are those of the response, so later steps may build on a wrong result.

    A step performs an operation if it is applied to that operation's operands, which are the response's own values of the
    sub-expressions. If no step is, one whose strings appear nowhere else (copying errors) counts too. The other arguments, integers
    and the string that a function takes as its parameter, belong to the operation, unless they are those of another call of the
    same function.
    """
    work = _Aligner(solution, _distinct(named))
    answered = work.of(solution.expression)
    missing = answered.before([answer])
    foreign = [index for index in range(len(work.steps)) if index not in work.used and not work.explains(index)]
    return Alignment(
        missing=len(missing),
        foreign=len(foreign),
        beyond=sum(index > work.outermost for index in foreign) if work.outermost >= 0 else 0,
        elsewhere=solution.strings.union(work.sources).difference(answered.values),
        steps=len(work.steps),
    )


class Performed(NamedTuple):
    """The operations that a step performs, none if it is not the expression's; ``miscopied``: with an operand from nowhere."""

    operations: list[Operation]
    miscopied: bool


def performed(solution: Solution, named: list[NamedStep]) -> dict[tuple, Performed]:
    """Return what each step performs, by its operator and arguments. Those that only explain another are left out."""
    work = _Aligner(solution, _distinct(named))
    work.of(solution.expression)
    return {
        (step.operator, step.arguments): Performed(work.used.get(index, []), index not in work.exact)
        for index, step in enumerate(work.steps)
        if index in work.used or not work.explains(index)
    }


def _distinct(named: list[NamedStep]) -> list[_DistinctStep]:
    """Merge steps with the same operator and arguments, ordered by last occurrence, with all results stated for them."""
    steps: dict[tuple, _DistinctStep] = {}
    for item in named:
        known = item.arguments or ()
        strings = tuple(argument for argument in known if not isinstance(argument, int))
        integers = tuple(argument for argument in known if isinstance(argument, int))
        key = (item.operator, item.arguments)
        step = steps.pop(key, None) or _DistinctStep(*key, strings, integers, item.in_words, [])
        if item.output is not None and item.output not in step.outputs:
            step.outputs.append(item.output)
        steps[key] = step
    return list(steps.values())[-_MAX_STEPS:]


class _Aligner:
    def __init__(self, solution: Solution, steps: list[_DistinctStep]):
        self.solution, self.steps = solution, steps
        self.used: dict[int, list[Operation]] = defaultdict(list)
        self.exact: set[int] = set()
        self.outermost = -1
        self.sources: dict[str, set[int]] = defaultdict(set)
        self._by_operator: dict[str, list[int]] = defaultdict(list)
        for index, step in enumerate(steps):
            self._by_operator[step.operator].append(index)
            for output in step.outputs:
                self.sources[output].add(index)

    def of(self, node: Node) -> _Values:
        """Match the steps with a sub-expression, innermost first, and return the values that it has in the response."""
        if isinstance(node, Leaf):
            return _Values({evaluate(node, self.solution.x): frozenset()}, frozenset())
        operands = [self.of(operand) for operand in node.operands]
        self._record_wrong_join(node, operands)
        values = dict(self._implied(node, operands))
        missing = frozenset().union(*(operand.missing for operand in operands))
        if node.operator in FUNCTIONS or node is self.solution.expression:
            missing |= {id(node)}
        exact = self._working(node, operands, slips=False)
        self.exact.update(exact)
        for index, before in (exact or self._working(node, operands, slips=True)).items():
            self.used[index].append(node)
            missing = min(missing, before, key=len)
            values |= dict.fromkeys(self.steps[index].outputs[-2:], before)
            if node is self.solution.expression:
                self.outermost = max(self.outermost, index)
        return _Values(dict(list(values.items())[-_MAX_VALUES:]), missing)

    def explains(self, index: int) -> bool:
        """Return whether a join only explains another step's result."""
        step = self.steps[index]
        return step.operator == "+" and any(self.sources[output] - {index} for output in step.outputs)

    def _working(self, node: Operation, operands: list[_Values], slips: bool) -> dict[int, frozenset[int]]:
        """Return the steps that perform an operation, with what is missing before each; ``slips`` allows miswritten operands."""
        indexes = [*self._by_operator[shown(node)], *(() if slips else self._by_operator[""])]
        candidates = {index: self._before(index, node, operands, slips) for index in indexes}
        return {index: before for index, before in candidates.items() if before is not None}

    def _before(self, index: int, node: Operation, operands: list[_Values], slips: bool) -> frozenset[int] | None:
        """Return what is missing before a step that performs the operation; None if it does not."""
        step, own_parameters = self.steps[index], node.parameters
        if step.arguments is None or step.in_words:
            known = {value for operand in operands for value in operand.values}.union(own_parameters)
            if all(text in known or (slips and self._is_copying_error(text, index)) for text in step.strings):
                return frozenset().union(*(operand.before(step.strings) for operand in operands))
            return None
        strings = step.strings
        parameters: tuple = step.integers
        if any(isinstance(parameter, str) for parameter in own_parameters):
            strings, parameters = strings[: len(operands)], strings[len(operands) :] + parameters
        if len(strings) != len(operands):
            return None
        if any(parameter not in own_parameters and parameter in self.solution.parameters[shown(node)] for parameter in parameters):
            return None
        other = [text for text, operand in zip(strings, operands) if text not in operand.values]
        if other and not (slips and all(self._is_copying_error(text, index) for text in other)):
            return None
        return frozenset().union(*(operand.before([text]) for text, operand in zip(strings, operands)))

    def _is_copying_error(self, text: str | None, index: int) -> bool:
        """Return whether an operand has no value, or appears nowhere else."""
        return text is None or (text not in self.solution.strings and not self.sources.get(text, set()) - {index})

    def _record_wrong_join(self, node: Operation, operands: list[_Values]) -> None:
        """Record a join's operands in the wrong order, so that they do not count as a copying error."""
        if node.operator == "+":
            for left, right in product(operands[0].values, operands[1].values):
                self.sources[right + left].add(-1)

    def _implied(self, node: Operation, operands: list[_Values]) -> Iterator[tuple[str, frozenset[int]]]:
        """Yield the operation's results for the operands' values, as if the response did it without writing it down."""
        for values in islice(product(*(operand.values for operand in operands)), _MAX_VALUES):
            if sum(map(len, values)) <= self.solution.longest:
                result = apply(node.operator, list(values), node.parameters)
                before = frozenset().union(*(operand.values[value] for value, operand in zip(values, operands)))
                # If the outermost call leaves its operand unchanged, the answer does not show whether it was performed.
                unseen = node is self.solution.expression and result in values
                yield result, before | {id(node)} if unseen else before


def _on_input(node: Operation, x: str, true: dict[int, str]) -> Iterator[str]:
    """Yield the values of a call if the input replaces one operand."""
    if node.operator in FUNCTIONS:
        values = [true[id(operand)] for operand in node.operands]
        for position in range(len(values)):
            yield apply(node.operator, [*values[:position], x, *values[position + 1 :]], node.parameters)
