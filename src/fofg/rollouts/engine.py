"""What makes responses: one interface, and the names of its implementations.

An engine is one module: an entry of ENGINES, or named in the configuration as ``package.module:Class``.
"""

import difflib
import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol

from fofg.config import Rollouts
from fofg.data.schemas import Message
from fofg.errors import UserError


@dataclass(frozen=True)
class Request:
    """A prompt (chat messages) and one seed for each response that it shall get; seeds are below 2**63."""

    prompt: list[Message]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Sample:
    """A response without special tokens. ``token_count`` includes the end token, which a "length" response lacks."""

    text: str
    finish_reason: Literal["stop", "length"]
    token_count: int


class Engine(Protocol):
    """Made by ``create``. A response depends on the model, its prompt, the settings and its seed.

    ``identity`` holds what else may change results (device, precision); ``positions`` is the longest sequence that the model can
    hold, None if it has no limit; ``batch_size`` is the number of sequences it decodes at once. A ``continuous`` engine is best
    given all requests in one call: it takes up new sequences as others end. The others get a batch a call.
    """

    continuous: bool
    batch_size: int
    positions: int | None
    identity: dict[str, str | int]

    def prompt_lengths(self, prompts: Sequence[list[Message]]) -> list[int]:
        """Tokens of each prompt, with the chat template's own."""

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, int, Sample]]:
        """(request position, position of the seed, sample), in the order in which samples finish."""


#: Name in the configuration -> "module:attribute" of the factory, which has ``create``'s arguments.
ENGINES = {
    "transformers": "fofg.rollouts.transformers_engine:TransformersEngine",
    "vllm": "fofg.rollouts.vllm_engine:VllmEngine",
}


def create(
    name: str,
    model: str | os.PathLike,
    settings: Rollouts,
    dtype: str = "auto",
    batch_size: int = 128,
    options: Mapping | None = None,
) -> Engine:
    """An engine that holds the model of a folder; ``options``: keyword arguments of its own.

    Raises UserError for an unknown name, options that it lacks, or an unreadable model.
    """
    module, _, attribute = ENGINES.get(name, name).partition(":")
    if not attribute:
        close = difflib.get_close_matches(name, ENGINES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(f"rollout_engine.name: no engine {name!r}; known: {', '.join(ENGINES)}, or package.module:Class{hint}")
    try:
        factory = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"rollout_engine.name: {name} can't be loaded ({error}); install what it needs") from None
    given = {"dtype": dtype, "batch_size": batch_size}
    try:
        if twice := given.keys() & (options or {}).keys():
            raise TypeError(f"has {', '.join(sorted(twice))} from keys of their own")
        given |= options or {}
        inspect.signature(factory).bind(Path(model), settings, **given)
    except TypeError as error:
        raise UserError(f"rollout_engine.options: engine {name} {error}; correct or remove it") from None
    return factory(Path(model), settings, **given)
