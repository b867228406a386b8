"""Pack documents into training batches. A batch depends on (seed, step) alone, so a resumed run sees the same ones."""

from functools import cached_property
from random import Random
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from fofg.config import TinyBase
from fofg.tiny_base import arithmetic, corpus
from fofg.tiny_base.tokenizer import PAD, answer_text, user_text

ROW = 512
IGNORED = -100
#: Share of the steps after which the last phase begins: its mixture, its slips, and the decay of the learning rate.
LATE_FROM = 0.6
#: A batch is full when this number of consecutive documents did not fit.
_MISSES = 8


class Batch(NamedTuple):
    """Four arrays of shape (rows, ROW).

    ``tokens``; ``labels``: the token to predict at each position, IGNORED outside answers; ``positions`` inside the document;
    ``documents``: the document's number inside its row, 0 for padding.
    """

    tokens: np.ndarray
    labels: np.ndarray
    positions: np.ndarray
    documents: np.ndarray


class Batches:
    """Sequence of batches, one per step, each of ``tokens_per_step / ROW`` rows (at least one)."""

    def __init__(self, tokenizer: str, template: str, settings: TinyBase):
        """Set up the batches. ``tokenizer``: the text of a tokenizer.json."""
        self.serialized, self.template, self.settings = tokenizer, template, settings
        self.rows = max(1, settings.tokens_per_step // ROW)

    def __len__(self) -> int:
        return self.settings.steps

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "_tokenizer"}

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer.from_str(self.serialized)

    def __getitem__(self, step: int) -> Batch:
        rng = Random(f"{self.settings.seed} {step}")
        late = step >= LATE_FROM * len(self)
        batch = self._empty()
        used, misses = [0] * self.rows, 0
        while misses < _MISSES:
            tokens, answers = self._document(rng, late)
            row = next((row for row, length in enumerate(used) if length + len(tokens) <= ROW), None)
            if row is None:
                misses += 1
                continue
            _place(batch, row, used[row], tokens, answers)
            used[row] += len(tokens)
        return batch

    def _empty(self) -> Batch:
        shape = (self.rows, ROW)
        pad = self._tokenizer.token_to_id(PAD)
        zeros = np.zeros(shape, np.int16)
        return Batch(np.full(shape, pad, np.int16), np.full(shape, IGNORED, np.int16), zeros, zeros.copy())

    def _document(self, rng: Random, late: bool) -> tuple[list[int], list[bool]]:
        """Return a conversation's tokens, cut after the last turn that fits a row, and a mask of those in answers.

        A conversation that does not fit at all is replaced by the next.
        """
        tokens: list[int] = []
        answers: list[bool] = []
        for turn in self._conversation(rng, late):
            user = self._tokenizer.encode(user_text(turn.prompt)).ids
            response = self._tokenizer.encode(answer_text(turn.response)).ids
            if len(tokens) + len(user) + len(response) > ROW:
                break
            tokens += user + response
            answers += [False] * len(user) + [True] * len(response)
        return (tokens, answers) if tokens else self._document(rng, late)

    def _conversation(self, rng: Random, late: bool) -> list[corpus.Turn]:
        countdown, error_rate = self.settings.countdown, self.settings.error_rate
        if countdown and rng.random() < countdown.share:
            return arithmetic.conversation(countdown.template, rng, late, error_rate)
        return corpus.conversation(self.template, rng, late, error_rate, self.settings.nested_calls)


def _place(batch: Batch, row: int, start: int, tokens: list[int], answers: list[bool]) -> None:
    end = start + len(tokens)
    batch.tokens[row, start:end] = tokens
    batch.positions[row, start:end] = range(len(tokens))
    batch.documents[row, start:end] = batch.documents[row].max() + 1
    following = [token if answered else IGNORED for token, answered in zip(tokens[1:], answers[1:])]
    batch.labels[row, start : end - 1] = following
