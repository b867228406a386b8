"""The paper's sampler: the published procedure draw by draw, which gives exactly the published problems (paper App. A).

``level`` is the depth of the tree. An expression occurs once per dataset.
"""

from collections.abc import Iterator
from random import Random
from string import ascii_lowercase

from fofg import config
from fofg.errors import UserError
from fofg.tasks.strings.expressions import METHODS, Leaf, Node, Operation, OutputTooLong, X, evaluate, text
from fofg.tasks.strings.functions import DECLARED
from fofg.tasks.strings.problem import Sampled

#: Consecutive expressions without a new problem after which the settings count as impossible.
PATIENCE = 2_000
_METHODS = tuple(METHODS)
_INPUT_TRIES = 100


class Expressions:
    """Draws expressions of the functions of ``pool``, in the order in which the procedure lists them."""

    def __init__(self, generator: Random, pool: tuple[str, ...]):
        self._generator = generator
        two = [name for name in pool if DECLARED[name].operands == 2]
        self._interlace = two[0] if two else None
        self._plain = [name for name in pool if DECLARED[name].operands == 1 and not DECLARED[name].parameter]
        # The published code lists the functions by number, except for this pair; the order decides which one a draw gives.
        with_parameter = [name for name in pool if DECLARED[name].parameter]
        if {"loop_concat", "while_rotate"} <= set(with_parameter):
            first = with_parameter.index("loop_concat")
            with_parameter[first : first + 2] = "while_rotate", "loop_concat"
        drawn = [(name, DECLARED[name].parameter) for name in with_parameter]
        self._with_parameter = [(name, parameter) for name, parameter in drawn if parameter]
        if not (self._plain and self._with_parameter):
            raise UserError("problems.pools: sampler paper needs functions with and without a parameter in each; add one")

    def draw(self, depth: int) -> Node:
        """Draw an expression of this depth."""
        random, choice = self._generator.random, self._generator.choice
        if depth == 0:
            return X if random() < 0.5 else Leaf(_letters(self._generator, 3, 6))
        if random() < 0.2:
            operands = (self.draw(depth - 1), self.draw(depth - 1))
            return Operation("+" if random() < 0.5 or not self._interlace else self._interlace, operands)
        if random() < 0.02:
            return Operation(choice(_METHODS), (self.draw(depth - 1),))
        if random() < 0.5:
            return Operation(choice(self._plain), (self.draw(depth - 1),))
        name, parameter = choice(self._with_parameter)
        return Operation(name, (self.draw(depth - 1),), (parameter.draw(self._generator),))


def sample(shares: list[tuple[int, int]], pool: tuple[str, ...], settings: config.Problems) -> Iterator[Sampled]:
    """Yield the problems of one split: ``count`` problems of each tree depth, for (level, count) pairs, lowest level first.

    Raises UserError if the settings leave no further problem.
    """
    generator = Random(settings.seed)
    expressions = Expressions(generator, pool)
    written: set[str] = set()
    for depth, count in shares:
        for _ in range(count):
            for _ in range(PATIENCE):
                expression = expressions.draw(depth)
                x = _input(generator, expression, settings)
                if x is not None and (code := text(expression)) not in written:
                    written.add(code)
                    break
            else:
                limit = settings.max_output_length or "any number of"
                raise UserError(
                    f"problems.max_output_length: no further expression of depth {depth} found for outputs of up to {limit} "
                    "characters; allow longer ones, or make fewer problems (datasets)"
                )
            yield Sampled(expression, code, x, evaluate(expression, x), depth)


def _input(generator: Random, expression: Node, settings: config.Problems) -> str | None:
    """Draw up to 100 inputs, and return the first on which the expression stays within the cap."""
    low, high = settings.input_length
    cap = settings.max_output_length
    for _ in range(_INPUT_TRIES):
        x = _letters(generator, low, high)
        if cap is None:
            return x
        try:
            evaluate(expression, x, cap)
            return x
        except OutputTooLong:
            continue
    return None


def _letters(generator: Random, low: int, high: int) -> str:
    return "".join(generator.choices(ascii_lowercase, k=generator.randint(low, high)))
