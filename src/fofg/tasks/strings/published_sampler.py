"""The sampler of the paper: its published procedure draw by draw, so that the problems are the published ones (paper App. A).

``level`` is the depth of the tree. An expression is taken once a dataset.
"""

from array import array
from collections.abc import Callable, Iterator
from hashlib import blake2b
from random import Random
from string import ascii_lowercase

from fofg import config
from fofg.errors import UserError
from fofg.tasks.strings.expressions import Call, Concat, Literal, Method, Node, OutputTooLong, X
from fofg.tasks.strings.problem import Problem

#: In the order in which the procedure chooses among them.
PLAIN = (
    "deterministic_shuffle",
    "remove_vowels",
    "sort_chars",
    "reverse_words",
    "mirror_str",
    "alternate_case",
    "vowel_to_number",
    "duplicate_every_char",
    "fancy_brackets",
    "compress_repeats",
    "recursive_reverse",
    "loop_filter_nonalpha",
    "verify_even_length",
)
WITH_PARAMETER = (
    "repeat_str",
    "add_prefix",
    "add_suffix",
    "rotate_str",
    "shift_chars",
    "insert_separator",
    "while_rotate",
    "loop_concat",
    "backchain_add_digit",
    "backchain_palindrome",
)
#: Expressions in a row without a new problem after which the settings count as impossible.
PATIENCE = 2_000
_METHODS = ("upper", "lower", "capitalize", "swapcase")
_INPUT_TRIES = 100


class Draws:
    """The draws of one ``random.Random``: the same values as its randint, choice and choices, in the same order, made faster."""

    def __init__(self, seed: int):
        generator = Random(seed)
        self.random = generator.random
        self._bits = generator.getrandbits

    def below(self, n: int) -> int:
        """An integer from 0 to n - 1, as ``randrange(n)`` and ``choice`` draw it."""
        bits = n.bit_length()
        value = self._bits(bits)
        while value >= n:
            value = self._bits(bits)
        return value

    def randint(self, low: int, high: int) -> int:
        return low + self.below(high - low + 1)

    def letters(self, low: int, high: int) -> str:
        """``randint(low, high)`` for the length, then ``choices(ascii_lowercase, k=length)``."""
        random = self.random
        return "".join([ascii_lowercase[int(random() * 26)] for _ in range(self.randint(low, high))])


class Expressions:
    """Draws expressions of the functions of ``pool``."""

    def __init__(self, draws: Draws, pool: tuple[str, ...]):
        self._draws = draws
        self._plain = [name for name in PLAIN if name in pool]
        self._with_parameter = [(name, self._parameter(name)) for name in WITH_PARAMETER if name in pool]
        self._interlace = "interlace_str" if "interlace_str" in pool else "recursive_interlace"

    def _parameter(self, name: str) -> Callable[[], str | int]:
        draws = self._draws
        if name in ("add_prefix", "add_suffix"):
            return lambda: draws.letters(2, 4)
        if name == "insert_separator":
            return lambda: "-_|"[draws.below(3)]
        low, high = {"repeat_str": (2, 4), "loop_concat": (2, 4), "shift_chars": (1, 5)}.get(name, (1, 3))
        return lambda: draws.randint(low, high)

    def draw(self, depth: int) -> Node:
        """An expression of this depth."""
        draws = self._draws
        random = draws.random
        if depth == 0:
            return X if random() < 0.5 else Literal(draws.letters(3, 6))
        if random() < 0.2:
            left = self.draw(depth - 1)
            right = self.draw(depth - 1)
            return Concat(left, right) if random() < 0.5 else Call(self._interlace, (left, right))
        if random() < 0.02:
            name = _METHODS[draws.below(4)]
            return Method(name, self.draw(depth - 1))
        if random() < 0.5:
            name = self._plain[draws.below(len(self._plain))]
            return Call(name, (self.draw(depth - 1),))
        name, parameter = self._with_parameter[draws.below(len(self._with_parameter))]
        operand = self.draw(depth - 1)
        return Call(name, (operand,), (parameter(),))


class Taken:
    """A compact set of texts: 64 bits of a hash each (two of a million texts agree with a chance of 1 in 30 million)."""

    def __init__(self):
        self._slots = array("Q", bytes(8 << 12))
        self._count = 0

    def add(self, text: str) -> bool:
        """Takes a text. Returns whether it is new."""
        key = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") or 1
        if not self._place(key):
            return False
        self._count += 1
        if 3 * self._count > 2 * len(self._slots):
            self._grow()
        return True

    def _place(self, key: int) -> bool:
        slots = self._slots
        last = len(slots) - 1
        at = key & last
        while held := slots[at]:
            if held == key:
                return False
            at = (at + 1) & last
        slots[at] = key
        return True

    def _grow(self) -> None:
        held = self._slots
        self._slots = array("Q", bytes(2 * 8 * len(held)))
        for key in held:
            if key:
                self._place(key)


def sample(shares: list[tuple[int, int]], pool: tuple[str, ...], settings: config.Problems) -> Iterator[Problem]:
    """The problems of one split: for each (level, count) pair, lowest level first, so many problems of that tree depth.

    Raises UserError if the settings leave no further problem.
    """
    draws = Draws(settings.seed)
    expressions = Expressions(draws, pool)
    taken = Taken()
    for depth, count in shares:
        for _ in range(count):
            for _ in range(PATIENCE):
                expression = expressions.draw(depth)
                text = _input(draws, expression, settings)
                if text is not None and taken.add(expression.text()):
                    break
            else:
                limit = settings.max_output_length or "any number of"
                raise UserError(
                    f"problems.max_output_length: no further expression of depth {depth} found for outputs of up to {limit} "
                    "characters; allow longer ones, or make fewer problems (datasets)"
                )
            yield Problem(expression, text, expression.evaluate(text), depth)


def _input(draws: Draws, expression: Node, settings: config.Problems) -> str | None:
    """The first of 100 inputs on which the expression keeps within the cap."""
    low, high = settings.input_length
    cap = settings.max_output_length
    for _ in range(_INPUT_TRIES):
        text = draws.letters(low, high)
        if cap is None:
            return text
        try:
            expression.evaluate(text, cap)
            return text
        except OutputTooLong:
            continue
    return None
