"""Chat templates that keep what was said: what is trained is the conversation that the model saw and the response that it wrote.

The invariant: an answered conversation is the asked one (with its generation prompt), the response verbatim, and one end of turn,
after which a template may append more, which is not learned. More turns only append. Many templates break it: they trim answers,
drop thoughts from earlier turns, or put empty ones into the last.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jinja2 import TemplateError

from fofg.errors import UserError

Message = dict[str, str]
#: Texts that no template has a reason to change or to contain: three questions, and then others.
QUESTIONS = ("Qwrtpsd", "Xcvbnmq", "Zxplkjt")
ANSWER, SYSTEM = "Fghjklz", "Kjhgfdl"
#: Responses that a model may write, and that templates change.
_RESPONSES = (
    ANSWER,
    " \n\tspaces around \n\n",
    "<think>\nWrtzpsd\n</think>\n\nVbnmklp",
    "Wrtzpsd\n</think>\n\nVbnmklp",  # where the generation prompt opens the thoughts
    "<think>\n\n</think>\n\n",
    "",
    "{{ 'a' }} {% if x %} '\" \\n é 🦎",
)


class Answered(NamedTuple):
    """Parts of a rendered conversation: the text up to an answer, with the generation prompt; the response; what ends it."""

    prompt: str
    response: str
    end: str


def render(tokenizer, messages: Sequence[Message], generation_prompt: bool) -> str:
    """Render a conversation with the tokenizer's chat template. Raises UserError if the template refuses it."""
    try:
        return rendered(tokenizer, messages, generation_prompt)
    except TemplateError as error:
        raise refused(error) from None


def refused(error: TemplateError, source: str = "a prompt") -> UserError:
    """Return the error of a conversation that a template refuses to render; ``source``: where it is from."""
    return UserError(
        f"{source}: the model's chat template can't render it ({error}); let user and assistant take turns, and write the text of "
        "system turns into the user's"
    )


def answered(tokenizer, messages: Sequence[Message], template: str | None = None) -> Iterator[Answered]:
    """Yield the parts of each answer of a rendered conversation. Raises ValueError if the template breaks the invariant."""
    done = ""
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt = rendered(tokenizer, messages[:index], True, template)
        whole = rendered(tokenizer, messages[: index + 1], False, template)
        if not prompt.startswith(done):
            raise ValueError("renders earlier turns differently once more follow")
        if not whole.startswith(prompt):
            raise ValueError(f"renders an answered conversation differently from its prompt ({prompt[-40:]!r})")
        response = message["content"]
        if not whole.startswith(response, len(prompt)):
            raise ValueError(f"changes answers ({response[:60]!r} becomes {whole[len(prompt) :][:60]!r})")
        yield Answered(prompt[len(done) :], response, whole[len(prompt) + len(response) :])
        done = whole


def check(tokenizer, template: str | None = None) -> str:
    """Check the invariant with responses that templates are known to change. Return the special token that ends an answer.

    Raises ValueError if the template breaks the invariant, with what it does.
    """
    system = _system_turns(tokenizer, template)
    ends = set()
    for responses in (*([response] for response in _RESPONSES), _RESPONSES, _RESPONSES[::-1]):
        for prefix in ([], system) if system else ([],):
            talk = [turn for number, response in enumerate(responses) for turn in turns(QUESTIONS[number % 3], response)]
            ends |= {part.end for part in answered(tokenizer, [*prefix, *talk], template)}
    if len(ends) > 1:
        raise ValueError(f"ends answers in different ways ({', '.join(map(repr, sorted(ends)))})")
    return end_token(tokenizer, ends.pop())


def end_token(tokenizer, end: str) -> str:
    """Return the special token at the start of what ends an answer. Raises ValueError if there is none."""
    token = first_token(tokenizer, end)
    if token not in specials(tokenizer):
        raise ValueError(f"ends an assistant turn with {end[:40]!r}, which starts with no special token")
    return token


def specials(tokenizer) -> frozenset[str]:
    """Return the special tokens, which no response contains: they are left out when tokens become text."""
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return frozenset(added) | frozenset(tokenizer.all_special_tokens)


def rendered(tokenizer, messages: Sequence[Message], generation_prompt: bool, template: str | None = None) -> str:
    return tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=generation_prompt)


def turns(question: str, answer: str | None = None) -> list[Message]:
    asked = [{"role": "user", "content": question}]
    return asked if answer is None else [*asked, {"role": "assistant", "content": answer}]


def _system_turns(tokenizer, template: str | None) -> list[Message]:
    """Return a system turn if the template renders it, else nothing."""
    system = [{"role": "system", "content": SYSTEM}]
    try:
        shown = rendered(tokenizer, [*system, *turns(QUESTIONS[0])], True, template)
    except Exception:  # a template is a program and may raise anything
        return []
    return system if SYSTEM in shown else []


def units(tokenizer, text: str) -> list[str]:
    """Split a text into added tokens and single characters."""
    tokens = {token.content for token in tokenizer.added_tokens_decoder.values()} | set(tokenizer.all_special_tokens)
    longest_first = map(re.escape, sorted(tokens - {""}, key=len, reverse=True))
    return re.findall("|".join([*longest_first, r"[\s\S]"]), text)


def first_token(tokenizer, text: str) -> str:
    return next(iter(units(tokenizer, text)), "")
