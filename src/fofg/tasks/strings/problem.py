"""One problem, as the samplers return it."""

from typing import NamedTuple

from fofg.tasks.strings.expressions import Node


class Sampled(NamedTuple):
    """``text``: of the expression; ``output``: its value for ``input``; ``level``: what the sampler counts as the level."""

    expression: Node
    text: str
    input: str
    output: str
    level: int
