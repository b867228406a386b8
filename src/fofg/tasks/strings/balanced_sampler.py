"""The sampler that we recommend: every call counts, every function equally often, no problem of the evaluation in training.

Laws: a problem's longest path runs from ``x`` through ``level`` calls; every call's result differs from its strings, is not empty
and keeps within the cap, and the output differs from the input; the functions of the pool are called equally often, give or take a
few, at each level; no problem occurs twice in a split; an input occurs either in train splits or in test splits of all datasets.
"""

import sys
from collections.abc import Iterator
from random import Random
from string import ascii_lowercase
from zlib import crc32

from fofg import config
from fofg.errors import UserError
from fofg.tasks.strings.expressions import Call, Concat, Literal, Node, X
from fofg.tasks.strings.functions import FUNCTIONS, TWO_OPERANDS
from fofg.tasks.strings.problem import Problem

#: One in so many inputs belongs to the evaluation.
SIDES = 8
#: Tries in a row without a new problem after which the settings count as impossible.
PATIENCE = 20_000
#: Share of steps beside which something is concatenated (from Level 2 on).
CONCATENATIONS = 0.1
#: Second operands: share of calls, and of the bare input; the rest are literals. Level 1 has literals only.
SIDE_CALLS, SIDE_INPUTS = 0.3, 0.1
#: Share of inputs drawn to suit some function that need not be in the problem, so that all functions meet all kinds of input.
STRAY_NEEDS = 0.1

_SPACE, _SIGN, _REPEAT, _VOWEL, _ODD = 1, 2, 4, 8, 16
#: What an input must have for a function to change it.
_NEEDS = {
    "reverse_words": _SPACE,
    "loop_filter_nonalpha": _SIGN,
    "compress_repeats": _REPEAT,
    "remove_vowels": _VOWEL,
    "vowel_to_number": _VOWEL,
    "verify_even_length": _ODD,
}
_STRAY = tuple(_NEEDS.values())
_SIGNS = "0123456789-_|"
_RANGES = {"rotate_str": 3, "while_rotate": 3, "shift_chars": 5, "backchain_add_digit": 3, "backchain_palindrome": 3}
_FILTER_BYTES = 16 << 20


def for_evaluation(text: str, seed: int) -> bool:
    """Whether an input belongs to the evaluation (test splits of all datasets) rather than to training."""
    return (crc32(text.encode(), seed & 0xFFFFFFFF) * 0x9E3779B1 & 0xFFFFFFFF) * SIDES >> 32 == 0


def sample(
    shares: list[tuple[int, int]], pool: tuple[str, ...], name: str, split: str, settings: config.Problems
) -> Iterator[Problem]:
    """The problems of one split of dataset ``name``: for each (level, count) pair so many problems of that level.

    A level's problems don't depend on how many are asked for. Raises UserError if the settings leave no further problem.
    """
    for level, count in shares:
        yield from _Level(level, pool, f"{settings.seed} {name} {split} {level}", split, settings).problems(count)


class _Filter:
    """Which problems were made: 2^27 bits, one a problem, whatever their number. It may take a new problem for an old one."""

    def __init__(self):
        self._bits = bytearray(_FILTER_BYTES)

    def add(self, problem: Problem) -> bool:
        """Takes a problem. Returns whether it is new."""
        key = crc32(problem.input.encode(), crc32(problem.expression.text().encode())) >> 5
        at, bit = key >> 3, 1 << (key & 7)
        if self._bits[at] & bit:
            return False
        self._bits[at] |= bit
        return True


class _Level:
    """Makes the problems of one level.

    Functions are dealt from a deck, to which whole shuffled pools are added. Each problem takes the oldest card and others at
    random; one that doesn't fit stays and is tried again, also as the innermost call, for which the input is made to suit.
    """

    def __init__(self, level: int, pool: tuple[str, ...], stream: str, split: str, settings: config.Problems):
        self._level = level
        self._pool = pool
        self._evaluation = split == "test"
        self._settings = settings
        self._cap = settings.max_output_length or sys.maxsize
        self._random = Random(stream).random
        self._deck: list[str] = []
        self._made = _Filter()

    def problems(self, count: int) -> Iterator[Problem]:
        for _ in range(count):
            while len(self._deck) < self._level + 2 * len(self._pool):
                self._deck += sorted(self._pool, key=lambda _: self._random())
            for _ in range(PATIENCE):
                problem = self._attempt()
                if problem and self._made.add(problem):
                    break
            else:
                raise UserError(self._impossible())
            for at in sorted(self._used, reverse=True):
                del self._deck[at]
            yield problem

    def _impossible(self) -> str:
        low, high = self._settings.input_length
        cap = self._settings.max_output_length
        return (
            f"problems.input_length, problems.max_output_length: no further problem of level {self._level} with {self._deck[0]} "
            f"found for inputs of {low} to {high} characters and outputs of {'any length' if cap is None else f'at most {cap}'}; "
            "allow longer ones, or make fewer problems (datasets)"
        )

    def _attempt(self) -> Problem | None:
        """A problem from the deck; ``_used`` are the places of its cards."""
        random, deck = self._random, self._deck
        plan = self._plan()
        needs = 0
        for at in plan:
            needs |= _NEEDS.get(deck[at], 0)
        if random() < STRAY_NEEDS:
            needs |= _STRAY[int(random() * len(_STRAY))]
        text = self._input(needs)
        if text is None:
            return None
        self._x, self._used, self._planned = text, [], plan
        node, value = X, text
        for left in range(self._level, 0, -1):
            step = self._step(node, value, must_use_oldest=left == 1 and 0 not in self._used)
            if step is None:
                return None
            node, value = step
            if self._level > 1 and random() < CONCATENATIONS:
                node, value = self._concatenated(node, value)
        return Problem(node, text, value, self._level) if value != text else None

    def _plan(self) -> list[int]:
        """Places of as many cards as the level, the oldest among them, in random order."""
        random = self._random
        places = [0]
        while len(places) < self._level:
            at = 1 + int(random() * (len(self._deck) - 1))
            if at not in places:
                places.append(at)
        if self._level > 1:
            places.sort(key=lambda _: random())
        return places

    def _input(self, needs: int) -> str | None:
        """An input of the right side that has what is needed, as far as its length allows."""
        for _ in range(100):
            text = self._draw_input(needs)
            if for_evaluation(text, self._settings.seed) is self._evaluation:
                return text
        return None

    def _draw_input(self, needs: int) -> str:
        random = self._random
        low, high = self._settings.input_length
        length = low + int(random() * (high - low + 1))
        if needs & _ODD and length % 2 == 0:
            length += 1 if length < high else -1 if length > low else 0
        letters = [ascii_lowercase[int(random() * 26)] for _ in range(length)]
        if needs & _VOWEL:
            letters[int(random() * length)] = "aeiou"[int(random() * 5)]
        if needs & _REPEAT and length > 1:
            at = int(random() * (length - 1))
            letters[at] = letters[at + 1]
        if needs & _SIGN:
            letters[int(random() * length)] = _SIGNS[int(random() * len(_SIGNS))]
        if needs & _SPACE and length > 2:
            at = 1 + int(random() * (length - 2))
            letters[at] = " "
            if length > 4 and random() < 0.3:
                second = 1 + int(random() * (length - 2))
                if abs(second - at) > 1:
                    letters[second] = " "
        return "".join(letters)

    def _step(self, node: Node, value: str, must_use_oldest: bool) -> tuple[Node, str] | None:
        """One more call around ``node``: of a planned function, else of the oldest in the deck that changes the value."""
        for place in self._planned:
            if place not in self._used and (place == 0 or not must_use_oldest) and (made := self._call(place, node, value)):
                return made
        if must_use_oldest:
            return None
        for place in range(len(self._deck)):
            if place not in self._used and place not in self._planned and (made := self._call(place, node, value)):
                return made
        return None

    def _call(self, place: int, node: Node, value: str) -> tuple[Node, str] | None:
        """The card's function applied to a node and its value; None if that changes nothing, or gives nothing or too much."""
        function = self._deck[place]
        if function not in TWO_OPERANDS:
            parameters = self._parameters(function, value)
            output = FUNCTIONS[function](value, *parameters)
            if output == value or not 0 < len(output) <= self._cap:
                return None
            self._used.append(place)
            return Call(function, (node,), parameters), output
        before = len(self._used)
        self._used.append(place)
        other, second = self._other(node)
        pair = ((node, other), (value, second)) if self._random() < 0.5 else ((other, node), (second, value))
        output = FUNCTIONS[function](*pair[1])
        if output in pair[1] or not 0 < len(output) <= self._cap:
            del self._used[before:]
            return None
        return Call(function, pair[0]), output

    def _parameters(self, function: str, value: str) -> tuple[str | int, ...]:
        random = self._random
        if function in _RANGES:
            return (1 + int(random() * _RANGES[function]),)
        if function in ("repeat_str", "loop_concat"):
            most = max(2, min(4, self._cap // len(value)))
            return (2 + int(random() * (most - 1)),)
        if function in ("add_prefix", "add_suffix"):
            return (self._word(),)
        if function == "insert_separator":
            return ("-_|"[int(random() * 3)],)
        return ()

    def _word(self) -> str:
        random = self._random
        return "".join([ascii_lowercase[int(random() * 26)] for _ in range(2 + int(random() * 3))])

    def _other(self, node: Node) -> tuple[Node, str]:
        """A second operand for a call or concatenation around ``node``, with no more calls on its path, and its value."""
        random = self._random
        if node.level:
            kind = random()
            if kind < SIDE_CALLS:
                leaf, value = (X, self._x) if random() < 0.5 else self._literal()
                for place, function in enumerate(self._deck):
                    if place not in self._used and place not in self._planned and function not in TWO_OPERANDS:
                        made = self._call(place, leaf, value)
                        if made:
                            return made
            elif kind < SIDE_CALLS + SIDE_INPUTS:
                return X, self._x
        return self._literal()

    def _literal(self) -> tuple[Node, str]:
        word = self._word()
        return Literal(word), word

    def _concatenated(self, node: Node, value: str) -> tuple[Node, str]:
        """``node`` with something added on one side, where the cap leaves room; else as it was."""
        before = len(self._used)
        other, second = self._other(node)
        if len(value) + len(second) > self._cap:
            del self._used[before:]
            return node, value
        return (Concat(node, other), value + second) if self._random() < 0.5 else (Concat(other, node), second + value)
