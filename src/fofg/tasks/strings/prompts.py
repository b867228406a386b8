"""Build prompts: code, with or without definitions, inside the configured template."""

import json
import re
from functools import cache, lru_cache

from fofg.errors import UserError
from fofg.tasks.strings.declarations import source
from fofg.tasks.strings.functions import FUNCTIONS, PUBLIC_NAMES

PLACEHOLDERS = ("{code}", "{input}")

_quote = json.JSONEncoder(ensure_ascii=False).encode


@cache
def definition(function: str, docstring: bool = False) -> str:
    """Return the source of a function (readable name) as prompts show it: named ``func_N``, no trailing newline."""
    return re.sub(rf"\b{function}\b", PUBLIC_NAMES[function], source(FUNCTIONS[function], docstring))


@lru_cache(maxsize=4096)
def definitions(functions: tuple[str, ...], docstrings: bool = False) -> str:
    """Return the sources of several functions, two newlines after each."""
    return "".join(definition(function, docstrings) + "\n\n" for function in functions)


def code(expression: str, functions: tuple[str, ...] = (), docstrings: bool = False) -> str:
    """Return the definitions of ``functions`` (none: hidden), then ``main_solution`` around the expression's text."""
    return f"{definitions(functions, docstrings)}def main_solution(x):\n    return {expression}"


def check_template(template: str) -> None:
    """Raise UserError unless the template has each placeholder exactly once."""
    for placeholder in PLACEHOLDERS:
        if template.count(placeholder) != 1:
            raise UserError(f"problems.template: needs {placeholder} exactly once, has it {template.count(placeholder)} times")


def prompt_text(template: str, expression: str, input_text: str, functions: tuple[str, ...] = (), docstrings: bool = False) -> str:
    """Fill ``{code}`` and ``{input}`` (a JSON string) into the template, in either order; other braces stay as they are.

    Raises UserError as ``check_template`` does.
    """
    before, between, after, code_first = _parts(template)
    shown, quoted = code(expression, functions, docstrings), _quote(input_text)
    return f"{before}{shown}{between}{quoted}{after}" if code_first else f"{before}{quoted}{between}{shown}{after}"


@lru_cache(maxsize=64)
def _parts(template: str) -> tuple[str, str, str, bool]:
    check_template(template)
    code_first = template.index("{code}") < template.index("{input}")
    before, between, after = re.split(r"\{code\}|\{input\}", template)
    return before, between, after, code_first
