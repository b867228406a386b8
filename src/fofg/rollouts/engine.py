"""Inference engines: their interface, and the names of the implementations.

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
    """A prompt (chat messages) and one seed, below 2**63, per requested response."""

    prompt: list[Message]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Sample:
    """A response without special tokens. ``token_count`` includes the end token, which a "length" response lacks."""

    text: str
    finish_reason: Literal["stop", "length"]
    token_count: int


class Engine(Protocol):
    """An inference engine, as ``create`` returns it. A response depends on the model, its prompt, the settings and its seed.

    ``identity`` holds what else may change results (device, precision); ``positions`` is the longest sequence that the model can
    hold, None if it has no limit; ``batch_size`` is the number of sequences it decodes at once. A ``continuous`` engine gets all
    requests in one call, since it starts new sequences as others finish; the others get one batch per call.
    """

    continuous: bool
    batch_size: int
    positions: int | None
    identity: dict[str, str | int]

    def prompt_lengths(self, prompts: Sequence[list[Message]]) -> list[int]:
        """Return the number of tokens of each prompt, rendered by the chat template."""

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, int, Sample]]:
        """Yield (request position, position of the seed, sample), in the order in which samples finish."""


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
    """Load a model folder into an engine; ``options``: its own keyword arguments.

    Raises UserError for an unknown name, unknown options, or an unreadable model.
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
    arguments = {"dtype": dtype, "batch_size": batch_size}
    try:
        if twice := arguments.keys() & (options or {}).keys():
            raise TypeError(f"has {', '.join(sorted(twice))} from keys of their own")
        arguments |= options or {}
        inspect.signature(factory).bind(Path(model), settings, **arguments)
    except TypeError as error:
        raise UserError(f"rollout_engine.options: engine {name} {error}; correct or remove it") from None
    return factory(Path(model), settings, **arguments)
