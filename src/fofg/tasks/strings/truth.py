"""What a problem's row says of the right answer."""

import json
from typing import NamedTuple

from fofg.data.files import cure
from fofg.errors import UserError


class Truth(NamedTuple):
    """Input and output of the program, and its expression with ``func_N`` names."""

    input: str
    output: str
    expression: str


def read_truth(text: str, place: str) -> Truth:
    """Parse a problem's ground truth. ``place``: ``FILE: row N``, or its last part.

    Raises UserError, naming the place, unless it is JSON with the three strings.
    """
    try:
        values = json.loads(text)
        truth = Truth(values["ref_input"], values["ref_output"], values["expression"])
        for value in truth:
            value.encode()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        file, named, _ = place.rpartition(": ")
        raise UserError(
            f"{place}: reward_model.ground_truth must be JSON with the strings ref_input, ref_output and expression, "
            f"not {str(text)[:80]!r}; {cure(file) if named else 'correct the problems'}"
        ) from None
    return truth
