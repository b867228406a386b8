"""Choose a model's chat template: its own if that keeps answers as they are (fofg.models.chat_templates), else one with its marks.

A template is a program, so it is not edited. Instead, it renders sample conversations, and a new template is built from the marks
that it puts around turns.
"""

from typing import NamedTuple

from fofg.errors import UserError
from fofg.models.chat_templates import ANSWER, QUESTIONS, SYSTEM, check, first_token, rendered, specials, turns, units

_CURE = (
    "use another model, or write a chat_template.jinja into its folder that renders answers as they are and ends them with "
    "{{ eos_token }}"
)


class Chosen(NamedTuple):
    """A template that keeps the invariant; the token that ends an answer; why it is not the model's own (empty: it is)."""

    template: str
    end_token: str
    changes: list[str]


class _Marks(NamedTuple):
    """What a template puts at the start, and around each role's text.

    ``default``: the text before a conversation that has no system turn; ``assistant``: ends with the end token and what comes after
    it; ``system``: None if that is unknown.
    """

    start: str
    default: str
    user: tuple[str, str]
    assistant: tuple[str, str]
    system: tuple[str, str] | None


def choose(tokenizer, plain: bool, name: str = "base_model") -> Chosen:
    """Return the tokenizer's chat template if it keeps the invariant, else one with its marks that does.

    ``plain``: the result adds no system text of its own; ``name``: the model, for error messages. Raises UserError if the marks
    can't be found, or if no special token ends an answer.
    """
    own, changes = tokenizer.get_chat_template(), []
    try:
        token = check(tokenizer, own)
    except ValueError as error:
        changes.append(str(error))
    except Exception as error:  # a template is a program and may raise anything
        changes.append(f"refuses a conversation ({_short(str(error))})")
    if "strftime_now" in own and not plain:  # rollouts and training may be days apart
        changes.append("writes the day on which it is read")
    fault = changes[0] if changes else None
    if not (plain or fault):
        return Chosen(own, token, [])
    try:
        marks = _marks(tokenizer, own, plain)
        if plain and marks.default:
            changes.append(f"adds a system text ({_short(marks.default)})")
        if not changes:
            return Chosen(own, token, [])
        template = _template(marks._replace(default="") if plain else marks)
        token = check(tokenizer, template)
        _check_prompts(tokenizer, own, marks)
    except Exception as error:  # a template is a program and may raise anything
        reason = _short(str(error) or type(error).__name__)
        why = f"its chat template {fault}, and can't be replaced" if fault else "its chat template can't be made plain"
        cure = _CURE if fault else "set plain_prompt: false"
        raise UserError(f"{name}: {why} ({reason}); {cure}") from None
    return Chosen(template, token, changes)


def _marks(tokenizer, own: str, plain: bool) -> _Marks:
    """Return the marks that a template puts around turns. Raises ValueError if they depend on more than the role."""
    first, second, _ = QUESTIONS
    asked = rendered(tokenizer, turns(first), True, own)
    once = rendered(tokenizer, turns(first, ANSWER), False, own)
    twice = rendered(tokenizer, [*turns(first, ANSWER), *turns(second)], True, own)
    before, _, tail = asked.partition(first)
    # Without a generation prompt, some templates end here as they end an answer.
    user_end = _common(tokenizer, tail, rendered(tokenizer, turns(first), False, own).partition(first)[2])
    assistant_start = _assistant_start(tokenizer, tail.removeprefix(user_end), _removed(_between(once, first, ANSWER), user_end))
    assistant_end, user_start = _ends(tokenizer, once.partition(ANSWER)[2], _between(twice, ANSWER, second))
    if not before.endswith(user_start):
        raise ValueError("turns are rendered differently once others follow")
    before = before.removesuffix(user_start)
    bos = tokenizer.bos_token or ""  # in some models, SmolLM2's for one, that is the token which starts every turn
    start = bos if before.startswith(bos) and not user_start.startswith(bos) else ""
    marks = _Marks(start, before.removeprefix(start), (user_start, user_end), (assistant_start, assistant_end), None)
    return marks._replace(system=_system_marks(tokenizer, own, marks, plain))


def _assistant_start(tokenizer, prompt: str, header: str) -> str:
    """Return what comes before a response. ``prompt``: the generation prompt; ``header``: what comes before a written answer.

    The model saw the generation prompt, so that is it. But if special tokens follow it in a header, the model would write these
    itself, and they would be lost with all special tokens: then the header is.
    """
    if not (header.startswith(prompt) or prompt.startswith(header)):
        raise ValueError(f"the generation prompt {prompt!r} is not how an assistant's turn starts: {header!r}")
    if any(token in specials(tokenizer) for token in units(tokenizer, header[len(prompt) :])):
        return header
    return prompt or (header if header.strip() else "")


def _ends(tokenizer, last: str, between: str) -> tuple[str, str]:
    """Return what ends an answer, and what starts a question.

    ``last``: the text after the last answer; ``between``: that between an answer and the next question.
    """
    end = _common(tokenizer, last, between)
    token = first_token(tokenizer, end.lstrip())
    if token in specials(tokenizer):
        return end.lstrip(), between.removeprefix(end)
    # Another token may end the last answer: that is the one at which generation ends.
    token, other = first_token(tokenizer, last), first_token(tokenizer, between)
    if not {token, other} <= specials(tokenizer):
        raise ValueError(f"no special token ends an answer, but {last[:40]!r}")
    return last, _removed(between, other + last.removeprefix(token))


def _system_marks(tokenizer, own: str, marks: _Marks, plain: bool) -> tuple[str, str] | None:
    """Return the marks of system turns, None if they have none of their own.

    Where ``plain`` leaves out a default text, which may be part of the turn, they are the user's marks with another role.
    """
    try:
        shown = rendered(tokenizer, [{"role": "system", "content": SYSTEM}, *turns(QUESTIONS[0])], False, own)
        before = _removed(shown.partition(SYSTEM)[0], marks.start)
        after = _between(shown, SYSTEM, QUESTIONS[0])
    except Exception:  # it refuses system turns, or leaves them out
        return None
    if not after.endswith(marks.user[0]):
        return None
    after = after.removesuffix(marks.user[0])
    if not (plain and marks.default):
        return before, after
    start = marks.user[0].replace("user", "system")
    return (start, after) if start != marks.user[0] and before.startswith(start) and after == marks.user[1] else None


def _template(marks: _Marks) -> str:
    roles = {"user": marks.user, "assistant": marks.assistant} | ({"system": marks.system} if marks.system else {})
    lines = ["{{- bos_token }}"] if marks.start else []
    if marks.default:
        lines += ["{%- if messages[0]['role'] != 'system' %}", f"{{{{- {marks.default!a} }}}}", "{%- endif %}"]
    lines.append("{%- for message in messages %}")
    for number, (role, (before, after)) in enumerate(roles.items()):
        lines.append(f"{{%- {'elif' if number else 'if'} message['role'] == '{role}' %}}")
        lines.append(f"{{{{- {before!a} + message['content'] + {after!a} }}}}")
    lines += [
        "{%- else %}",
        "{{- raise_exception('it has no role ' + message['role']) }}",
        "{%- endif %}",
        "{%- endfor %}",
        "{%- if add_generation_prompt %}",
        f"{{{{- {marks.assistant[0]!a} }}}}",
        "{%- endif %}",
    ]
    return "\n".join(lines)


def _check_prompts(tokenizer, own: str, marks: _Marks) -> None:
    """Raise ValueError unless the model's own template puts the same marks around a first question and around later ones."""
    talk = [*turns(QUESTIONS[0], ANSWER), *turns(QUESTIONS[1], ANSWER), *turns(QUESTIONS[2])]
    for number in (1, 3, 5):
        asked = rendered(tokenizer, talk[:number], True, own)
        before, _, after = asked.partition(talk[number - 1]["content"])
        starts = before.startswith(marks.start + marks.default + marks.user[0]) and before.endswith(marks.user[0])
        if not starts or not "".join([marks.user[1], marks.assistant[0]]).startswith(after):
            raise ValueError(f"question {number // 2 + 1} comes out as {asked[-80:]!r}")


def _common(tokenizer, one: str, other: str) -> str:
    """Return the longest common start of two texts that cuts no token in two."""
    common = []
    for left, right in zip(units(tokenizer, one), units(tokenizer, other)):
        if left != right:
            break
        common.append(left)
    return "".join(common)


def _between(text: str, left: str, right: str) -> str:
    start = text.index(left) + len(left)
    return text[start : text.index(right, start)]


def _removed(text: str, start: str) -> str:
    if not text.startswith(start):
        raise ValueError("turns are rendered differently once others follow")
    return text.removeprefix(start)


def _short(text: str) -> str:
    return " ".join(text.split())[:100]
