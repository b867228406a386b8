"""One problem, as the samplers make it."""

from typing import NamedTuple

from fofg.tasks.strings.expressions import Node


class Problem(NamedTuple):
    """``output`` is the value of ``expression`` for ``input``; ``level`` is what the sampler counts as the level."""

    expression: Node
    input: str
    output: str
    level: int
