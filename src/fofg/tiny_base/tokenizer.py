"""Tokenizer of single bytes, plus one token for every fixed piece of prompts, definitions and answers. Any text round-trips."""

import re
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from fofg.data.files import write_json, write_text
from fofg.errors import UserError
from fofg.tasks.strings import prompts
from fofg.tasks.strings.expressions import METHODS
from fofg.tiny_base import arithmetic
from fofg.tiny_base.library import ALL, GLOSSES, NAMES, body

PAD, USER, ASSISTANT, END = SPECIAL = ("<|pad|>", "<|user|>", "<|assistant|>", "<|end|>")
#: Characters above ASCII, of two bytes each, that get a token of their own.
_CHARACTERS = "«»"
_CODE = ("def ", "(x", "('", "x)", "')", ", ", ", '", "', ", " + ")
_ANSWER = ('("', '", ', '", "', '")', '" + "', '"\n', '{"output": "', '"}')

CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message.role == 'user' -%}
<|user|>{{ message.content }}<|end|>
{%- elif message.role == 'assistant' -%}
<|assistant|>{{ message.content }}<|end|>
{%- else -%}
{{ raise_exception('the embedded model knows only the roles user and assistant, not ' + message.role) }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}
"""


def user_text(prompt: str) -> str:
    """Return a user turn and the start of its answer, as the chat template renders them."""
    return f"{USER}{prompt}{END}{ASSISTANT}"


def answer_text(response: str) -> str:
    """Return the rest of an answer, as the chat template renders it."""
    return f"{response}{END}"


def build(template: str, countdown: str | None = None) -> Tokenizer:
    """Return the tokenizer for prompts in the wording of ``template``, and for Countdown's in that of ``countdown``.

    Its length is the model's vocabulary.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    encode = dict(zip(range(256), _byte_letters()))
    merges = [(encode[first], encode[second]) for first, second in map(str.encode, _CHARACTERS)]
    vocabulary = {token: i for i, token in enumerate([*alphabet, *map("".join, merges)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in pieces(template, countdown)])
    return tokenizer


def pieces(template: str, countdown: str | None = None) -> list[str]:
    """Return the texts that get a token of their own: function names, the prompts' wording, lines of definitions, glosses."""
    wording = template.replace("{input}", '"{input}"').replace("{code}", "{input}").split("{input}")
    lines = [piece for function in ALL for piece in _lines(body(function) + "\n\n")]
    glosses = [f' {gloss} -> "' for gloss in GLOSSES.values()]
    methods = [piece for method in METHODS for piece in (f'"{method}()', f"){method}()")]
    candidates = [*NAMES.values(), *wording, prompts.code(""), *_CODE, *_ANSWER, *methods, *lines, *glosses]
    if countdown:
        candidates += [*re.split(r"{numbers}|{target}", countdown), *arithmetic.PIECES]
    return list(dict.fromkeys(piece for piece in candidates if len(piece) > 1))


def _lines(text: str) -> list[str]:
    """Split a definition into lines with their line ends, and at characters with a token of their own."""
    for character in _CHARACTERS:
        text = text.replace(character, "\0")
    return [part for line in text.splitlines(keepends=True) for part in line.split("\0")]


def _byte_letters() -> list[str]:
    """Return the printable character that stands for each byte in a byte-level vocabulary."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def save(tokenizer: Tokenizer, folder: Path, longest: int) -> None:
    """Write the tokenizer's files; ``longest``: positions of the model. Raises UserError if a special token is missing."""
    missing = [token for token in SPECIAL if tokenizer.token_to_id(token) is None]
    if missing:
        raise UserError(f"{folder}: the tokenizer lacks {', '.join(missing)}; build it with fofg.tiny_base.tokenizer.build")
    write_text(folder / "tokenizer.json", tokenizer.to_str(pretty=True) + "\n")
    write_text(folder / "chat_template.jinja", CHAT_TEMPLATE)
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": PAD,
            "eos_token": END,
            "clean_up_tokenization_spaces": False,
            "model_max_length": longest,
        },
    )
