"""Prompts: the code that is shown, with or without the definitions, inside a template of the configuration."""

import inspect
import json
import re
from functools import cache

from fofg.errors import UserError
from fofg.problems.functions import FUNCTIONS, PUBLIC_NAMES

Message = dict[str, str]
PLACEHOLDERS = ("{code}", "{input}")


@cache
def definition(function: str) -> str:
    """Source of a function (readable name) as prompts show it: named ``func_N``, no trailing newline."""
    source = inspect.getsource(FUNCTIONS[function]).rstrip()
    return re.sub(rf"\b{function}\b", PUBLIC_NAMES[function], source)


@cache
def definitions(functions: tuple[str, ...]) -> str:
    """Sources of several functions, two newlines after each."""
    return "".join(definition(function) + "\n\n" for function in functions)


def code(expression: str, functions: tuple[str, ...] = ()) -> str:
    """What a prompt shows: the definitions of ``functions`` (none: hidden), then ``main_solution`` around the expression's text."""
    return f"{definitions(functions)}def main_solution(x):\n    return {expression}"


def check_template(template: str) -> None:
    """Raises UserError unless the template has each placeholder exactly once."""
    for placeholder in PLACEHOLDERS:
        if template.count(placeholder) != 1:
            raise UserError(f"problems.template: needs {placeholder} exactly once, has it {template.count(placeholder)} times")


def prompt(template: str, expression: str, input_text: str, functions: tuple[str, ...] = ()) -> list[Message]:
    """One user message. ``{code}`` and ``{input}`` (a JSON string) of the template are filled in; other braces stay as they are."""
    filled = {"{code}": code(expression, functions), "{input}": json.dumps(input_text, ensure_ascii=False)}
    content = "".join(filled.get(part, part) for part in _parts(template))
    return [{"role": "user", "content": content}]


@cache
def _parts(template: str) -> list[str]:
    return re.split(r"(\{code\}|\{input\})", template)
