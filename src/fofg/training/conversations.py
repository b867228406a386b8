"""Tokenize conversations, and mask the tokens that are not learned."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from jinja2 import TemplateError

from fofg.data.files import in_batches
from fofg.errors import UserError
from fofg.models.chat_templates import Answered, Message, answered, end_token, refused

#: Label of a token that is read, not learned.
IGNORED = -100
_CHUNK = 512


@dataclass
class Encoded:
    """Tokenized conversations: per row int32 arrays of equal length, ``labels`` being the token or ``IGNORED``."""

    input_ids: list[np.ndarray] = field(default_factory=list)
    labels: list[np.ndarray] = field(default_factory=list)
    skipped: int = 0
    truncated: int = 0

    def __len__(self) -> int:
        return len(self.input_ids)


def conversation(row: dict) -> list[Message]:
    """Return the messages of an RFT row: its prompt, then the response as the assistant's last turn."""
    turns = [{"role": turn["role"], "content": turn["content"]} for turn in row["prompt"]]
    return [*turns, {"role": "assistant", "content": row["response"]}]


def encode(tokenizer, conversations: Iterable[list[Message]], max_length: int, too_long: str, name: str) -> Encoded:
    """Tokenize conversations. Only assistant turns are learned, including their end-of-turn tokens.

    Prompts and answers are tokenized by themselves, as in generation, where the model reads the one and then writes the other.
    ``too_long`` says what happens above ``max_length`` tokens: ``error``, ``skip`` (counted), or ``truncate`` on the right
    (counted; a row without a learned token left counts as skipped). ``name``: the file, for error messages.
    Raises UserError for a long row, or a chat template that changes answers.
    """
    result = Encoded()
    for index, (ids, labels) in enumerate(_tokenized(tokenizer, conversations, name)):
        if len(ids) > max_length:
            if too_long == "error":
                raise UserError(
                    f"{name}: row {index} has {len(ids)} tokens, more than sft.max_length: {max_length}; raise it, or set "
                    "sft.too_long to skip or truncate"
                )
            ids, labels = ids[:max_length], labels[:max_length]
            if too_long == "skip" or (labels == IGNORED).all():
                result.skipped += 1
                continue
            result.truncated += 1
        result.input_ids.append(ids)
        result.labels.append(labels)
    return result


def _tokenized(tokenizer, conversations: Iterable[list[Message]], name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    appended, first = _Appended(tokenizer), 0
    for chunk in in_batches(conversations, _CHUNK):
        rows = [_parts(tokenizer, messages, appended, f"{name}: row {first + number}") for number, messages in enumerate(chunk)]
        texts = [text for row in rows for part in row for text in (part.prompt, part.response + part.end)]
        tokens, first = iter(tokenizer(texts, add_special_tokens=False)["input_ids"]), first + len(chunk)
        for row in rows:
            ids, labels = [], []
            for part in row:
                prompt, answer = next(tokens), next(tokens)
                learned = len(answer) - appended[part.end]
                ids += prompt + answer
                labels += [IGNORED] * len(prompt) + answer[:learned] + [IGNORED] * appended[part.end]
            yield np.array(ids, dtype=np.int32), np.array(labels, dtype=np.int32)


def _parts(tokenizer, messages: list[Message], appended: "_Appended", row: str) -> list[Answered]:
    """Return the answers of a conversation with what comes before and after each. ``row``: for error messages."""
    try:
        parts = list(answered(tokenizer, messages))
        for part in parts:
            appended[part.end]
        return parts
    except TemplateError as error:
        raise refused(error, row) from None
    except ValueError as error:
        raise UserError(
            f"{row}: the model's chat template {error}; restore the chat_template.jinja that the workflow wrote into its folder"
        ) from None


class _Appended(dict):
    """What ends an answer, as a template renders it -> number of tokens that follow the end token, which are not learned."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def __missing__(self, end: str) -> int:
        end_token(self.tokenizer, end)
        self[end] = len(self.tokenizer(end, add_special_tokens=False)["input_ids"]) - 1
        return self[end]
