"""Tokenize conversations, and mask the tokens that are not learned."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import numpy as np

from fofg.errors import UserError

Message = dict[str, str]
#: Label of a token that is read, not learned.
IGNORED = -100
_CHUNK = 512


class Piece(NamedTuple):
    """A piece of a rendered conversation: the text of an assistant's turn, or what comes before it."""

    text: str
    learned: bool


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


def pieces(tokenizer, messages: list[Message]) -> list[Piece]:
    """Return the text of a conversation as the chat template renders it, cut around the assistant's turns.

    The text before a turn equals the generation prompt for that turn. Raises UserError if the template renders the same messages
    differently once more follow: then no cut would match what the model sees.
    """
    result, done = [], ""
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt = tokenizer.apply_chat_template(messages[:index], tokenize=False, add_generation_prompt=True)
        answered = tokenizer.apply_chat_template(messages[: index + 1], tokenize=False)
        if not prompt.startswith(done):
            raise UserError(
                "base_model: its chat template renders earlier turns differently once more follow, so several can't be learned; "
                "set turns_per_example: 1, or plain_prompt: true"
            )
        if not answered.startswith(prompt):
            raise UserError(
                "base_model: its chat template renders an answered conversation differently from its generation prompt "
                f"({prompt[-60:]!r}); set plain_prompt: true or use a model whose template only appends"
            )
        result += [Piece(prompt[len(done) :], False), Piece(answered[len(prompt) :], True)]
        done = answered
    return result


def encode(tokenizer, conversations: Iterable[list[Message]], max_length: int, too_long: str, name: str) -> Encoded:
    """Tokenize conversations. Only assistant turns are learned, including their end-of-turn tokens.

    Each piece is tokenized by itself, as in generation, where the model reads the prompt and then writes its turn. ``too_long``
    says what happens above ``max_length`` tokens: ``error``, ``skip`` (counted), or ``truncate`` on the right (counted; a row
    without a learned token left counts as skipped). ``name``: the file, for error messages.
    Raises UserError for a long row or a chat template that can't be used.
    """
    result, specials = Encoded(), frozenset(tokenizer.all_special_ids) | _added_specials(tokenizer)
    for index, (ids, labels) in enumerate(_tokenized(tokenizer, conversations, specials)):
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


def _tokenized(tokenizer, conversations, specials) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    conversations = iter(conversations)
    while chunk := list(islice(conversations, _CHUNK)):
        rows = [pieces(tokenizer, messages) for messages in chunk]
        texts = [piece.text for row in rows for piece in row]
        tokens = iter(tokenizer(texts, add_special_tokens=False)["input_ids"])
        for row in rows:
            encoded = [(next(tokens), piece.learned) for piece in row]
            labels = [_labels(ids, specials) if learned else [IGNORED] * len(ids) for ids, learned in encoded]
            yield np.concatenate([ids for ids, _ in encoded], dtype=np.int32), np.concatenate(labels, dtype=np.int32)


def _labels(ids: list[int], specials: frozenset[int]) -> list[int]:
    """Return the labels of a turn: its tokens up to the last special one, which ends it, without what the template appends."""
    end = next((length for length in range(len(ids), 0, -1) if ids[length - 1] in specials), None)
    if end is None:
        raise UserError(
            "base_model: its chat template ends an assistant turn with no special token, so the model could not learn to stop; "
            "use a model with such a token or correct its tokenizer_config.json"
        )
    return ids[:end] + [IGNORED] * (len(ids) - end)


def _added_specials(tokenizer) -> frozenset[int]:
    return frozenset(number for number, token in tokenizer.added_tokens_decoder.items() if token.special)
