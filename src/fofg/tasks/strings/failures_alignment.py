"""The steps of a response beside the operations of an expression: which belong together, what is missing (paper §4.5)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice, product
from typing import NamedTuple

from fofg.tasks.strings.expressions import Leaf, Node, Operation, apply, evaluate, nodes, shown
from fofg.tasks.strings.failures_reading import Said
from fofg.tasks.strings.functions import FUNCTIONS

#: So many values a sub-expression has at most, as a response has them, and so many distinct steps of a response count.
_MOST_VALUES = 8
_MOST_STEPS = 1000


class Problem:
    """An expression and an input, with what is asked of them for every response. ``output``: the right answer."""

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
    """``missing``: calls, and the outermost operation, that no step works and no later value shows. ``foreign``: steps that work no
    operation of the expression. ``beyond``: those after the outermost operation's. ``elsewhere``: strings of the problem and of the
    steps that are not the expression's value as the steps have it. ``steps``: distinct steps."""

    missing: int
    foreign: int
    beyond: int
    elsewhere: set[str]
    steps: int


class _Step(NamedTuple):
    operator: str
    strings: tuple[str | None, ...]
    integers: tuple[int, ...]
    said: bool
    in_words: bool
    outputs: list[str]


class _Worked(NamedTuple):
    """What a sub-expression may be in a response, each value with the operations that are missing before it; ``missing``: those
    that are if a value is taken that is none of them."""

    values: dict[str, frozenset[int]]
    missing: frozenset[int]

    def before(self, said: Iterable[str | None]) -> frozenset[int]:
        """What is missing if one of these strings is the value."""
        return min((self.values[text] for text in said if text in self.values), key=len, default=self.missing)


def align(problem: Problem, said: list[Said], answer: str | None) -> Alignment:
    """Puts steps beside operations. Values count as the response has them, so that later steps may go on from a wrong result.

    A step works an operation if it is applied to that operation's operands: strings that are the response's own values of the
    sub-expressions; if no step is, strings that stand nowhere else (a slip of the pen) will do. The other arguments, integers and
    the string that a function takes as its parameter, are the operation's own matter, unless they belong to another call of the
    same function.
    """
    work = _Work(problem, _distinct(said))
    whole = work.of(problem.expression)
    missing = whole.values.get(answer, whole.missing)
    foreign = [place for place in range(len(work.steps)) if place not in work.used and not work.explains(place)]
    return Alignment(
        missing=len(missing),
        foreign=len(foreign),
        beyond=sum(place > work.outermost for place in foreign) if work.outermost >= 0 else 0,
        elsewhere=problem.strings.union(work.sources).difference(whole.values),
        steps=len(work.steps),
    )


def _distinct(said: list[Said]) -> list[_Step]:
    """Steps with different operators or arguments, in order of their last occurrence, with all results they are said to give."""
    steps: dict[tuple, _Step] = {}
    for one in said:
        known = one.arguments or ()
        strings = tuple(argument for argument in known if not isinstance(argument, int))
        integers = tuple(argument for argument in known if isinstance(argument, int))
        key = (one.operator, one.arguments)
        step = steps.pop(key, None) or _Step(one.operator, strings, integers, one.arguments is not None, one.in_words, [])
        if one.output is not None and one.output not in step.outputs:
            step.outputs.append(one.output)
        steps[key] = step
    return list(steps.values())[-_MOST_STEPS:]


class _Work:
    def __init__(self, problem: Problem, steps: list[_Step]):
        self.problem, self.steps = problem, steps
        self.used: set[int] = set()
        self.outermost = -1
        self.sources: dict[str, set[int]] = defaultdict(set)
        self._by_operator: dict[str, list[int]] = defaultdict(list)
        for place, step in enumerate(steps):
            self._by_operator[step.operator].append(place)
            for output in step.outputs:
                self.sources[output].add(place)

    def of(self, node: Node) -> _Worked:
        """What the steps make of a sub-expression, innermost first."""
        if isinstance(node, Leaf):
            return _Worked({evaluate(node, self.problem.x): frozenset()}, frozenset())
        operands = [self.of(operand) for operand in node.operands]
        self._join_wrongly(node, operands)
        values = dict(self._implied(node, operands))
        missing = frozenset().union(*(operand.missing for operand in operands))
        if node.operator in FUNCTIONS or node is self.problem.expression:
            missing |= {id(node)}
        for place, before in (self._working(node, operands, slips=False) or self._working(node, operands, slips=True)).items():
            self.used.add(place)
            missing = min(missing, before, key=len)
            values |= dict.fromkeys(self.steps[place].outputs[-2:], before)
            if node is self.problem.expression:
                self.outermost = max(self.outermost, place)
        return _Worked(dict(list(values.items())[-_MOST_VALUES:]), missing)

    def explains(self, place: int) -> bool:
        """Whether a join only explains how another step comes to its result."""
        step = self.steps[place]
        return step.operator == "+" and any(self.sources[output] - {place} for output in step.outputs)

    def _working(self, node: Operation, operands: list[_Worked], slips: bool) -> dict[int, frozenset[int]]:
        """The steps that work the node, each with what is missing before it; ``slips``: its operands may be miswritten."""
        places = [*self._by_operator[shown(node)], *(() if slips else self._by_operator[""])]
        found = {place: self._before(place, node, operands, slips) for place in places}
        return {place: before for place, before in found.items() if before is not None}

    def _before(self, place: int, node: Operation, operands: list[_Worked], slips: bool) -> frozenset[int] | None:
        """What is missing before a step that works the node; None if it does not."""
        step, own = self.steps[place], node.parameters
        if not step.said or step.in_words:
            known = {value for operand in operands for value in operand.values}.union(own)
            if all(text in known or (slips and self._is_slip(text, place)) for text in step.strings):
                return frozenset().union(*(operand.before(step.strings) for operand in operands))
            return None
        strings = step.strings
        parameters: tuple = step.integers
        if any(isinstance(parameter, str) for parameter in own):
            strings, parameters = strings[: len(operands)], strings[len(operands) :] + parameters
        if len(strings) != len(operands):
            return None
        if any(parameter not in own and parameter in self.problem.parameters[shown(node)] for parameter in parameters):
            return None
        other = [text for text, operand in zip(strings, operands) if text not in operand.values]
        if other and not (slips and all(self._is_slip(text, place) for text in other)):
            return None
        return frozenset().union(*(operand.before([text]) for text, operand in zip(strings, operands)))

    def _is_slip(self, text: str | None, place: int) -> bool:
        """Whether an operand is not said, or stands nowhere else."""
        return text is None or (text not in self.problem.strings and not self.sources.get(text, set()) - {place})

    def _join_wrongly(self, node: Operation, operands: list[_Worked]) -> None:
        """The operands of a join in the wrong order are no slip of the pen."""
        if node.operator == "+":
            for left, right in product(operands[0].values, operands[1].values):
                self.sources[right + left].add(-1)

    def _implied(self, node: Operation, operands: list[_Worked]) -> Iterator[tuple[str, frozenset[int]]]:
        """The operation's results for the operands' values, as if it was done in the head."""
        for values in islice(product(*(operand.values for operand in operands)), _MOST_VALUES):
            if sum(map(len, values)) <= self.problem.longest:
                result = apply(node.operator, list(values), node.parameters)
                before = frozenset().union(*(operand.values[value] for value, operand in zip(values, operands)))
                # An answer does not show an outermost call that leaves its operand as it is.
                unseen = node is self.problem.expression and result in values
                yield result, before | {id(node)} if unseen else before


def _on_input(node: Operation, x: str, true: dict[int, str]) -> Iterator[str]:
    """Yield a call's values with the input in the place of one operand."""
    if node.operator in FUNCTIONS:
        values = [true[id(operand)] for operand in node.operands]
        for position in range(len(values)):
            yield apply(node.operator, [*values[:position], x, *values[position + 1 :]], node.parameters)
