"""Recommended sampler: every call changes the value, functions are balanced, train and test inputs are disjoint.

Guarantees: a problem's longest path runs from ``x`` through ``level`` calls; every call's result differs from its strings, is not
empty and is within the cap, and the output differs from the input; at each level, the functions of the pool are called equally
often, up to a few calls; where a split has ``pairs``, a call on the result of another, also concatenated, makes one of these;
no problem occurs twice in a split; an input occurs either in train or in test splits of all datasets.
"""

import sys
from collections.abc import Collection, Iterator, Sequence
from random import Random
from string import ascii_lowercase
from zlib import crc32

from fofg import config
from fofg.errors import UserError
from fofg.tasks.strings import pools
from fofg.tasks.strings.declarations import Integer, Letters, Parameter
from fofg.tasks.strings.expressions import Leaf, Node, Operation, X, text
from fofg.tasks.strings.functions import DECLARED
from fofg.tasks.strings.problem import Sampled
from fofg.tasks.task import Split

#: One in SIDES inputs belongs to the evaluation.
SIDES = 8
#: Consecutive tries without a new problem after which the settings count as impossible.
PATIENCE = 20_000
#: Share of steps after which a string is concatenated (from Level 2 on).
CONCATENATIONS = 0.1
#: Second operands: share of calls, and of the bare input; the rest are literals. Level 1 has literals only.
SIDE_CALLS, SIDE_INPUTS = 0.3, 0.1
#: Share of inputs drawn to suit a function that may not be in the problem, so that all functions get all kinds of input.
STRAY_NEEDS = 0.1
#: What such inputs have. Vowels are listed twice, since two functions of the paper need them.
_STRAY = ("space", "sign", "repeat", "vowel", "vowel", "odd length")
_SIGNS = "0123456789-_|"
_WORD = Letters(2, 4)


def for_evaluation(x: str, seed: int) -> bool:
    """Return whether an input belongs to the evaluation (test splits of all datasets) rather than to training."""
    # A hash decides, not the draw: the same input is on the same side in every dataset and at every level.
    return (crc32(x.encode(), seed & 0xFFFFFFFF) * 0x9E3779B1 & 0xFFFFFFFF) * SIDES >> 32 == 0


def sample(split: Split, pool: tuple[str, ...], settings: config.Problems) -> Iterator[Sampled]:
    """Yield the problems of a split.

    The first problems of a level stay the same when more are drawn. Raises UserError if the settings leave no further problem.
    """
    pairs = pools.pairs(pool, settings.seed, split.pairs) if split.pairs else None
    for level, count in split.shares:
        stream = f"{settings.seed} {split.dataset} {split.split} {level}"
        yield from _Level(level, pool, pairs, stream, split.split == "test", settings).problems(count)


class _Generator:
    """Random draws from one ``random()`` each, which is several times faster than ``random.Random``'s own methods."""

    def __init__(self, seed: str):
        self.random = Random(seed).random

    def randint(self, low: int, high: int) -> int:
        return low + int(self.random() * (high - low + 1))

    def choice(self, options: Sequence[str]) -> str:
        return options[int(self.random() * len(options))]

    def choices(self, options: Sequence[str], *, k: int) -> list[str]:
        random, count = self.random, len(options)
        return [options[int(random() * count)] for _ in range(k)]


class _Level:
    """Draws the problems of one level.

    Functions are cards in a deck, which is refilled with whole shuffled pools: this balances the functions. Each problem uses the
    oldest card and others at random. A card that doesn't fit stays in the deck and is tried again, also as the innermost call, for
    which the input can be chosen to suit it.
    """

    def __init__(
        self,
        level: int,
        pool: tuple[str, ...],
        pairs: Collection[tuple[str, str]] | None,
        stream: str,
        evaluation: bool,
        settings: config.Problems,
    ):
        self._level, self._pool, self._pairs = level, pool, pairs
        self._evaluation, self._settings = evaluation, settings
        self._cap = settings.max_output_length or sys.maxsize
        self._generator = _Generator(stream)
        self._random = self._generator.random
        self._deck: list[str] = []
        self._seen: set[str] = set()

    def problems(self, count: int) -> Iterator[Sampled]:
        for _ in range(count):
            while len(self._deck) < self._level + 2 * len(self._pool):
                self._deck += sorted(self._pool, key=lambda _: self._random())
            for _ in range(PATIENCE):
                problem = self._attempt()
                # Millions of tuples would keep the garbage collector busy.
                if problem and (key := f"{problem.text}\n{problem.input}") not in self._seen:
                    self._seen.add(key)
                    break
            else:
                raise UserError(self._impossible())
            for card in sorted(self._used, reverse=True):
                del self._deck[card]
            yield problem

    def _impossible(self) -> str:
        low, high = self._settings.input_length
        cap = self._settings.max_output_length
        return (
            f"problems.input_length, problems.max_output_length: no further problem of level {self._level} with {self._deck[0]} "
            f"found for inputs of {low} to {high} characters and outputs of {'any length' if cap is None else f'at most {cap}'}; "
            "allow longer ones, or make fewer problems (datasets)"
        )

    def _attempt(self) -> Sampled | None:
        """Try to draw a problem from the deck; ``_used`` are the positions of its cards."""
        plan = self._plan()
        needs: set[str | None] = {DECLARED[self._deck[card]].needs for card in plan}
        if self._random() < STRAY_NEEDS:
            needs.add(self._generator.choice(_STRAY))
        x = self._input(needs)
        if x is None:
            return None
        self._x, self._used, self._planned = x, list[int](), plan
        node: Node = X
        value = x
        # Build from the input outward, evaluating along, so that a call that would change nothing is never added.
        for remaining in range(self._level, 0, -1):
            step = self._step(node, value, must_use_oldest=remaining == 1 and 0 not in self._used)
            if step is None:
                return None
            node, value = step
            if self._level > 1 and self._random() < CONCATENATIONS:
                node, value = self._concatenated(node, value)
        return Sampled(node, text(node), x, value, self._level) if value != x else None

    def _plan(self) -> list[int]:
        """Draw one card per call, including the oldest, in random order."""
        cards = [0]
        while len(cards) < self._level:
            card = self._generator.randint(1, len(self._deck) - 1)
            if card not in cards:
                cards.append(card)
        if self._level > 1:
            cards.sort(key=lambda _: self._random())
        return cards

    def _input(self, needs: Collection[str | None]) -> str | None:
        """Draw an input of the split's side (training or evaluation) that meets ``needs``, as far as its length allows."""
        for _ in range(100):
            x = self._draw_input(needs)
            if for_evaluation(x, self._settings.seed) is self._evaluation:
                return x
        return None

    def _draw_input(self, needs: Collection[str | None]) -> str:
        draw = self._generator
        low, high = self._settings.input_length
        length = draw.randint(low, high)
        if "odd length" in needs and length % 2 == 0:
            length += 1 if length < high else -1 if length > low else 0
        letters = draw.choices(ascii_lowercase, k=length)
        if "vowel" in needs:
            letters[draw.randint(0, length - 1)] = draw.choice("aeiou")
        if "repeat" in needs and length > 1:
            first = draw.randint(0, length - 2)
            letters[first] = letters[first + 1]
        if "sign" in needs:
            letters[draw.randint(0, length - 1)] = draw.choice(_SIGNS)
        if "space" in needs and length > 2:
            space = draw.randint(1, length - 2)
            letters[space] = " "
            if length > 4 and self._random() < 0.3:
                second = draw.randint(1, length - 2)
                if abs(second - space) > 1:
                    letters[second] = " "
        return "".join(letters)

    def _step(self, node: Node, value: str, must_use_oldest: bool) -> tuple[Node, str] | None:
        """Add a call around ``node``: of a planned function, or else of the oldest in the deck that changes the value."""
        for card in self._planned:
            if card not in self._used and (card == 0 or not must_use_oldest) and (step := self._call(card, node, value)):
                return step
        if must_use_oldest:
            return None
        return self._first_call(node, value, operands=(1, 2))

    def _first_call(self, node: Node, value: str, operands: Collection[int]) -> tuple[Node, str] | None:
        """Add a call of the oldest unplanned function that changes the value and has one of these numbers of operands."""
        for card, function in enumerate(self._deck):
            if card in self._used or card in self._planned or DECLARED[function].operands not in operands:
                continue
            if step := self._call(card, node, value):
                return step
        return None

    def _call(self, card: int, node: Node, value: str) -> tuple[Node, str] | None:
        """Apply a card's function to a node and its value; None if its pair or its result is not allowed."""
        function = self._deck[card]
        declared = DECLARED[function]
        before = len(self._used)
        nodes: tuple[Node, ...] = (node,)
        values: tuple[str, ...] = (value,)
        if declared.operands == 2:
            self._used.append(card)
            other, second = self._other(node)
            nodes, values = ((node, other), (value, second)) if self._random() < 0.5 else ((other, node), (second, value))
        if self._pairs is not None and any((inner, function) not in self._pairs for node in nodes for inner in _outermost(node)):
            del self._used[before:]
            return None
        parameters = self._parameters(declared.parameter, value)
        output = declared.function(*values, *parameters)
        if output in values or not 0 < len(output) <= self._cap:
            del self._used[before:]
            return None
        if declared.operands == 1:
            self._used.append(card)
        return Operation(function, nodes, parameters), output

    def _parameters(self, parameter: Parameter | None, value: str) -> tuple[str | int, ...]:
        if parameter is None:
            return ()
        if isinstance(parameter, Integer) and parameter.multiplies:
            return (self._generator.randint(parameter.low, max(parameter.low, min(parameter.high, self._cap // len(value)))),)
        return (parameter.draw(self._generator),)

    def _other(self, node: Node) -> tuple[Node, str]:
        """Draw a second operand, and its value, for a call or concatenation around ``node``; its path is no longer."""
        random = self._random
        if isinstance(node, Operation):
            kind = random()
            if kind < SIDE_CALLS:
                leaf, value = (X, self._x) if random() < 0.5 else self._literal()
                if step := self._first_call(leaf, value, operands=(1,)):
                    return step
            elif kind < SIDE_CALLS + SIDE_INPUTS:
                return X, self._x
        return self._literal()

    def _literal(self) -> tuple[Node, str]:
        word = _WORD.draw(self._generator)
        return Leaf(word), word

    def _concatenated(self, node: Node, value: str) -> tuple[Node, str]:
        """Concatenate a string to one side of ``node`` if the cap allows; else return it unchanged."""
        before = len(self._used)
        other, second = self._other(node)
        if len(value) + len(second) > self._cap:
            del self._used[before:]
            return node, value
        before_node = self._random() >= 0.5
        operands, output = ((other, node), second + value) if before_node else ((node, other), value + second)
        return Operation("+", operands), output


def _outermost(node: Node) -> Iterator[str]:
    """Yield the functions whose results a node has, also concatenated."""
    if isinstance(node, Operation):
        if node.operator != "+":
            yield node.operator
        else:
            for operand in node.operands:
                yield from _outermost(operand)
