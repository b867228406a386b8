"""Make the plain variant of a chat template: the same turns, without a system text that the conversation does not contain.

A template is a program, so it is not edited. Instead, it renders sample conversations; a new template is built from the marks that
it puts around turns, and checked: it must render conversations as the model's own does, except for the system text.
"""

from typing import NamedTuple

from fofg.errors import UserError

#: Texts that no template has a reason to change or to contain; the last one is the system's.
_TEXTS = ("Qwrtpsd", "Fghjklz", "Xcvbnmq", "Wrtzpsd", "Kjhgfdl")


class Marks(NamedTuple):
    """What a template puts at the start, and before and after each role's text. ``system``: None if that is unknown."""

    start: str
    user: tuple[str, str]
    assistant: tuple[str, str]
    system: tuple[str, str] | None


def plain(tokenizer, template: str) -> str:
    """Return the plain variant of a tokenizer's chat template; the template itself if it adds no system text.

    Raises UserError if the marks around its turns can't be found.
    """
    try:
        marks, before = _marks(tokenizer, template)
        if before == marks.start + marks.user[0]:
            return template
        plain_template = _template(marks, bos=bool(marks.start))
        _check(tokenizer, template, plain_template, marks)
    except Exception as error:  # a template is a program and may raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"base_model: its chat template can't be made plain ({reason}); set plain_prompt: false") from None
    return plain_template


def _render(tokenizer, template: str, turns: int, prompt: bool = False, system: bool = False) -> str:
    """Render a conversation of ``turns`` turns, user first, each with its text of ``_TEXTS``."""
    messages = [{"role": "system", "content": _TEXTS[-1]}] if system else []
    messages += [{"role": ("user", "assistant")[turn % 2], "content": _TEXTS[turn]} for turn in range(turns)]
    return tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=prompt)


def _marks(tokenizer, template: str) -> tuple[Marks, str]:
    """Return the template's marks, and everything before the first user's text."""
    first, second, third = _TEXTS[:3]
    prompted = _render(tokenizer, template, 1, prompt=True)
    one_turn, two_turns, four_turns = (_render(tokenizer, template, turns) for turns in (1, 2, 4))
    assistant_start = _remove_start(prompted, one_turn)
    user_end = _remove_end(_between(four_turns, first, second), assistant_start)
    assistant_end = two_turns.partition(second)[2]
    user_start = _remove_start(_between(four_turns, second, third), assistant_end)
    before = prompted.partition(first)[0]
    _remove_end(before, user_start)
    bos = tokenizer.bos_token or ""
    start = bos if before.startswith(bos) else ""
    system = _system_marks(tokenizer, template, start, (user_start, user_end), assistant_start)
    return Marks(start, (user_start, user_end), (assistant_start, assistant_end), system), before


def _system_marks(tokenizer, template: str, start: str, user: tuple[str, str], assistant_start: str) -> tuple[str, str] | None:
    """Return the user's marks with the role replaced by ``system``, if the template renders system turns that way."""
    if user[0].replace("user", "assistant") != assistant_start or user[0].count("user") != 1:
        return None
    system_start = user[0].replace("user", "system")
    try:
        rendered = _render(tokenizer, template, 1, system=True)
    except Exception:  # the template refuses system turns
        return None
    fits = rendered.startswith(start + system_start) and _between(rendered, _TEXTS[-1], _TEXTS[0]) == user[1] + user[0]
    return (system_start, user[1]) if fits else None


def _template(marks: Marks, bos: bool) -> str:
    turns = {"user": marks.user, "assistant": marks.assistant} | ({"system": marks.system} if marks.system else {})
    lines = ["{{- bos_token }}"] if bos else []
    lines.append("{%- for message in messages %}")
    for number, (role, (before, after)) in enumerate(turns.items()):
        lines.append(f"{{%- {'elif' if number else 'if'} message['role'] == '{role}' %}}")
        lines.append(f"{{{{- {before!a} + message['content'] + {after!a} }}}}")
    lines += [
        "{%- else %}",
        "{{- raise_exception('the plain chat template has no role ' + message['role']) }}",
        "{%- endif %}",
        "{%- endfor %}",
        "{%- if add_generation_prompt %}",
        f"{{{{- {marks.assistant[0]!a} }}}}",
        "{%- endif %}",
    ]
    return "\n".join(lines)


def _check(tokenizer, template: str, plain_template: str, marks: Marks) -> None:
    """Raise ValueError unless the plain template's output equals that of the model's own after its system text."""
    for turns in range(1, 5):
        for prompt in (False, True) if turns % 2 else (False,):
            expected, rendered = (_render(tokenizer, source, turns, prompt) for source in (template, plain_template))
            if not rendered.startswith(marks.start + marks.user[0]) or not expected.endswith(rendered.removeprefix(marks.start)):
                raise ValueError(f"{turns} turns come out as {rendered[:80]!r}")


def _between(text: str, left: str, right: str) -> str:
    start = text.index(left) + len(left)
    return text[start : text.index(right, start)]


def _remove_start(text: str, start: str) -> str:
    if not text.startswith(start) or text == start:
        raise ValueError("turns are rendered differently once others follow")
    return text.removeprefix(start)


def _remove_end(text: str, end: str) -> str:
    if not text.endswith(end):
        raise ValueError("the generation prompt is not how an assistant's turn starts")
    return text.removesuffix(end)
