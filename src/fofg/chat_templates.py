"""The plain variant of a chat template: the same turns, without a system text that the conversation does not hold.

A template is a program, so it is not edited: it is asked to render sample conversations, and the marks that it puts around the
turns make up a new, plain template, which must then render conversations as the model's own does, but for the system text.
"""

from typing import NamedTuple

from fofg.errors import UserError

#: Texts that no template has a reason to change or to contain.
_TEXTS = ("Qwrtpsd", "Fghjklz", "Xcvbnmq", "Wrtzpsd", "Kjhgfdl")
_UNFIT = "base_model: its chat template can't be made plain ({}); set plain_prompt: false"


class Marks(NamedTuple):
    """What a template puts around turns. ``system`` is None where the marks of a system turn can't be told."""

    start: str
    user: tuple[str, str]
    assistant: tuple[str, str]
    system: tuple[str, str] | None


def plain(tokenizer, template: str) -> str:
    """The plain variant of a tokenizer's chat template; the template itself if it adds no system text.

    Raises UserError if its turns can't be told apart.
    """
    marks, before = _marks(tokenizer, template)
    if before == marks.start + marks.user[0]:
        return template
    made = _template(marks, bool(tokenizer.bos_token) and marks.start == tokenizer.bos_token)
    _check(tokenizer, template, made, marks)
    return made


def _render(tokenizer, template: str, count: int, ask: bool = False, system: bool = False) -> str:
    """A conversation of ``count`` turns, user first, each with its text of ``_TEXTS``; a system turn has the last."""
    turns = [{"role": ("user", "assistant")[place % 2], "content": _TEXTS[place]} for place in range(count)]
    if system:
        turns.insert(0, {"role": "system", "content": _TEXTS[-1]})
    return tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False, add_generation_prompt=ask)


def _between(text: str, left: str | None, right: str | None) -> str:
    """What stands between two of the texts; None: the start or the end."""
    start = 0 if left is None else text.index(left) + len(left)
    return text[start : len(text) if right is None else text.index(right, start)]


def _marks(tokenizer, template: str) -> tuple[Marks, str]:
    """The template's marks, and all that it puts before the first user's text."""
    first, second, third = _TEXTS[:3]
    try:
        asked, silent = _render(tokenizer, template, 1, ask=True), _render(tokenizer, template, 1)
        talk, answered = _render(tokenizer, template, 4), _render(tokenizer, template, 2)
        assistant_start = _after(asked, silent)
        user_end = _without_end(_between(talk, first, second), assistant_start)
        assistant_end = _between(answered, second, None)
        user_start = _after(_between(talk, second, third), assistant_end)
        before = _between(asked, None, first)
        _without_end(before, user_start)
    except Exception as error:  # a template is a program of others, and may raise anything
        raise UserError(_UNFIT.format(str(error).splitlines()[0] if str(error) else type(error).__name__)) from None
    bos = tokenizer.bos_token or ""
    start = bos if bos and before.startswith(bos) else ""
    system = _system_marks(tokenizer, template, start, user_start, assistant_start, user_end)
    return Marks(start, (user_start, user_end), (assistant_start, assistant_end), system), before


def _after(longer: str, shorter: str) -> str:
    if not longer.startswith(shorter) or longer == shorter:
        raise ValueError("turns are rendered differently once others follow")
    return longer.removeprefix(shorter)


def _without_end(text: str, end: str) -> str:
    if not text.endswith(end):
        raise ValueError("the generation prompt is not how an assistant's turn starts")
    return text.removesuffix(end)


def _system_marks(tokenizer, template, start, user_start, assistant_start, user_end) -> tuple[str, str] | None:
    """Marks of a system turn, where a turn's start names its role: the user's, with that name."""
    if user_start.replace("user", "assistant") != assistant_start or user_start.count("user") != 1:
        return None
    marks = user_start.replace("user", "system"), user_end
    try:
        own = _render(tokenizer, template, 1, system=True)
    except Exception:  # the template refuses system turns
        return None
    said = _between(own, None, _TEXTS[-1])
    rest = _between(own, _TEXTS[-1], _TEXTS[0])
    return marks if said.startswith(start + marks[0]) and rest == user_end + user_start else None


def _template(marks: Marks, bos: bool) -> str:
    turns = {"user": marks.user, "assistant": marks.assistant} | ({"system": marks.system} if marks.system else {})
    start = "{{- bos_token }}" if bos else ""
    lines = [start, "{%- for message in messages %}"]
    for number, (role, (before, after)) in enumerate(turns.items()):
        lines.append(f"{{%- {'elif' if number else 'if'} message['role'] == '{role}' %}}")
        lines.append(f"{{{{- {before!a} + message['content'] + {after!a} }}}}")
    lines.append("{%- else %}")
    lines.append("{{- raise_exception('the plain chat template has no role ' + message['role']) }}")
    lines += [
        "{%- endif %}",
        "{%- endfor %}",
        "{%- if add_generation_prompt %}",
        f"{{{{- {marks.assistant[0]!a} }}}}",
        "{%- endif %}",
    ]
    return "\n".join(line for line in lines if line)


def _check(tokenizer, own: str, made: str, marks: Marks) -> None:
    """The plain template must give what the model's own gives after its system text."""
    for count in range(1, 5):
        for ask in (False, True) if count % 2 else (False,):
            want, have = _render(tokenizer, own, count, ask), _render(tokenizer, made, count, ask)
            if not have.startswith(marks.start + marks.user[0]) or not want.endswith(have.removeprefix(marks.start)):
                raise UserError(_UNFIT.format(f"{count} turns come out as {have[:80]!r}"))
