"""Prompts: exactly the definitions of the functions used, or none, inside the template."""

import json
import re
from pathlib import Path

import problem_sets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fofg.data import datasets
from fofg.errors import UserError
from fofg.tasks.strings.expressions import evaluate, parse, text
from fofg.tasks.strings.functions import FUNCTIONS, PUBLIC_NAMES
from fofg.tasks.strings.prompts import check_template, code, definition, prompt_text

FACTS = json.loads((Path(__file__).parents[1] / "reference/functions.json").read_text(encoding="utf-8"))
#: Residues modulo a prime of texts (UTF-8 bytes read as one number): of the published template's pieces, with their lengths
#: (before the code, between code and input, after the input), and of published prompts.
PUBLISHED = json.loads((Path(__file__).parents[1] / "reference/published_prompts.json").read_text(encoding="utf-8"))
TEMPLATE = 'Code:\n{code}\nInput: {input}. Answer {"output": "..."}'


@pytest.mark.parametrize("docstring", [True, False])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_definition_alone_gives_the_published_outputs_under_its_public_name(name, docstring):
    scope = {}
    exec(definition(name, docstring), scope)
    shown = scope[PUBLIC_NAMES[name]]
    assert bool(shown.__doc__) == docstring and name not in definition(name, docstring)
    assert [fact for fact in FACTS if fact["name"] == name and shown(*fact["args"]) != fact["output"]] == []


@given(st.sets(st.sampled_from(list(FUNCTIONS)), min_size=1))
def test_visible_code_defines_exactly_the_functions_used(names):
    used = tuple(name for name in FUNCTIONS if name in names)
    text = code("func_2(x)", used)
    assert re.findall(r"^def (\w+)", text, flags=re.M) == [*(PUBLIC_NAMES[name] for name in used), "main_solution"]


def test_main_solution_with_its_definitions_runs_to_the_answer():
    tree = parse("func_4((func_7(x, 'abc') + ' d'))")
    scope = {}
    exec(code(text(tree), ("reverse_words", "interlace_str")), scope)
    assert scope["main_solution"]("xy z") == evaluate(tree, "xy z")


def test_the_template_is_filled_in():
    assert prompt_text(TEMPLATE, "func_2(x)", 'a"b') == (
        'Code:\ndef main_solution(x):\n    return func_2(x)\nInput: "a\\"b". Answer {"output": "..."}'
    )


@given(st.text(), st.booleans())
def test_input_is_shown_as_a_json_string_and_never_filled_in(text, code_first):
    template = "A{code}B{input}C" if code_first else "A{input}B{code}C"
    shown = code("func_2(x)")
    content = prompt_text(template, "func_2(x)", text)
    quoted = content.removeprefix(f"A{shown}B" if code_first else "A").removesuffix("C" if code_first else f"B{shown}C")
    assert json.loads(quoted) == text
    assert prompt_text(template, "func_2(x)", "{code}{input}").count(shown) == 1


@pytest.mark.parametrize("template", ["", "{code}", "{input}", "{code}{input}{input}", "{code}{code}{input}"])
def test_a_template_needs_each_placeholder_once(template):
    with pytest.raises(UserError, match=r"problems\.template: needs \{(code|input)\} exactly once"):
        check_template(template)
    with pytest.raises(UserError, match=r"problems\.template"):
        prompt_text(template, "x", "y")


def residue(text: str) -> int:
    """Return the residue of a prompt in which the characters 0, 1, 2 stand for the pieces of the published template."""
    total = 0
    for part in re.split("([\0-\2])", text):
        length, digits = PUBLISHED["pieces"][ord(part)] if part in {*"\0\1\2"} else (len(part.encode()), part.encode().hex() or "0")
        total = ((total << 8 * length) + int(digits, 16)) % int(PUBLISHED["modulus"], 16)
    return total


@pytest.mark.parametrize(
    ("name", "rows", "step"), [("stage2_level1/train", 16, 1), ("stage2_level2/train", 16, 1), ("stage2_level1to8/test", 2048, 128)]
)
def test_with_the_published_wording_stage_2_prompts_are_the_published_ones(name, rows, step):
    """Byte for byte, though the wording, which belongs to others, is not here."""
    update = {"sampler": "paper", "template": "\0{code}\1{input}\2"}
    settings = problem_sets.DEFAULT.problems.model_copy(update=update).of_stage(2)
    batches = datasets.batches(problem_sets.spec(*name.split("/"), rows, settings))
    prompts = [prompt for batch in batches for prompt in batch["prompt"].to_pylist()]
    assert {len(prompt) for prompt in prompts} == {1} and {prompt[0]["role"] for prompt in prompts} == {"user"}
    assert [residue(prompt[0]["content"]) for prompt in prompts[::step]] == [int(one, 16) for one in PUBLISHED["prompts"][name]]
