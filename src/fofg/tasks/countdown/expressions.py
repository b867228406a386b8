"""Read and evaluate arithmetic in the answers of models: integers, + - * /, signs and parentheses, nothing else.

Neither step recurses or evaluates Python, and reading takes time linear in the text. Only an expression whose integers are those of
the problem should be evaluated, which bounds its values.
"""

import re
from fractions import Fraction

#: Other characters for the operators.
OPERATORS = str.maketrans("−×÷", "-*/")
# \d would match digits of other scripts, too.
_TOKEN = re.compile(r"[ \t\r\n]*([0-9]+|[-+*/()])[ \t\r\n]*", re.ASCII)
_PRECEDENCE = {"(": 0, "+": 1, "-": 1, "*": 2, "/": 2, "negative": 3, "positive": 3}
_SIGNS = {"-": "negative", "+": "positive"}

Postfix = list[str]


def read(text: str) -> Postfix | None:
    """Return an expression in postfix notation: integers as they are written, operators behind their operands; signs are operators.

    None if the text is anything else.
    """
    output: Postfix = []
    waiting: list[str] = []
    end, text = 0, text.translate(OPERATORS)
    operand = False  # whether the last token ends an operand
    while end < len(text):
        match = _TOKEN.match(text, end)
        if not match:
            return None
        token, end = match[1], match.end()
        if token.isdigit() or token == "(":
            if operand:
                return None
            operand = token != "("
            (output if operand else waiting).append(token)
        elif token == ")":
            while operand and waiting and waiting[-1] != "(":
                output.append(waiting.pop())
            if not operand or not waiting:
                return None
            waiting.pop()
        elif operand:
            while waiting and _PRECEDENCE[waiting[-1]] >= _PRECEDENCE[token]:
                output.append(waiting.pop())
            waiting.append(token)
            operand = False
        elif token in _SIGNS:
            waiting.append(_SIGNS[token])
        else:
            return None
    if not operand or "(" in waiting:
        return None
    return output + waiting[::-1]


def integers(expression: Postfix) -> list[str]:
    """Return the integers of an expression as they are written."""
    return [token for token in expression if token.isdigit()]


def value(expression: Postfix) -> Fraction | None:
    """Return the exact value of an expression; None if it divides by zero."""
    values: list[Fraction] = []
    for token in expression:
        if token.isdigit():
            values.append(Fraction(token))
        elif token == "negative":
            values[-1] = -values[-1]
        elif token != "positive":
            right, left = values.pop(), values.pop()
            if token == "/" and not right:
                return None
            values.append(_apply(token, left, right))
    return values[0]


def _apply(operator: str, left: Fraction, right: Fraction) -> Fraction:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    return left * right if operator == "*" else left / right
