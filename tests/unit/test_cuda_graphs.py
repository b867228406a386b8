"""Decoding in buffers of fixed shapes, as a CUDA graph needs it, against decoding with a cache that grows; here without capture."""

import pytest
import tiny_model
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rollout_rows import sampling

from fofg import models
from fofg.models import weights
from fofg.rollouts.cuda_graphs import MIN_ROWS, SLOTS, GraphDecoder, supports
from fofg.rollouts.decoding import Decoder
from fofg.rollouts.engine import Request


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return a model whose queries share heads, with its tokenizer and end tokens."""
    folder = tiny_model.make(tmp_path_factory.mktemp("model"), heads=4, num_key_value_heads=2)
    tokenizer = models.load_chat_tokenizer(folder)
    return weights.load(folder, torch.float32).eval(), tokenizer, models.end_tokens(folder, tokenizer)


def decoders(model, limit: int, batch_size: int) -> tuple[Decoder, Decoder]:
    network, tokenizer, ends = model
    limits = sampling(max_response_tokens=limit)
    growing, fixed = (Decoder(network, tokenizer, limits, ends, batch_size) for _ in range(2))
    assert growing.graphs is None and not supports(network)  # on a CPU
    fixed.graphs = GraphDecoder(network, limits, fixed.end_tokens, len(tokenizer), capture=False)
    return growing, fixed


def responses(decoder: Decoder, prompts: list[tuple[int, int]], seed: int) -> dict:
    """Return the responses to prompts, given as (length, number of responses)."""
    texts = ["ab" * length for length, _ in prompts]
    seeds = [tuple(seed + 100 * number + sample for sample in range(samples)) for number, (_, samples) in enumerate(prompts)]
    wanted = [Request([{"role": "user", "content": text}], own) for text, own in zip(texts, seeds)]
    found = [
        ((number, place), (answer.tokens.tolist(), answer.finish_reason)) for number, place, answer in decoder.generate(wanted)
    ]
    assert len(found) == sum(samples for _, samples in prompts)
    return dict(found)


PROMPTS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), min_size=1, max_size=5)


@settings(max_examples=8)
@given(first=PROMPTS, second=PROMPTS, limit=st.sampled_from([1, 2, 17, 60]), batch_size=st.integers(1, 40))
def test_fixed_shapes_do_not_change_the_samples(model, first, second, limit, batch_size):
    growing, fixed = decoders(model, limit, batch_size)
    for seed, prompts in enumerate([first, second]):  # the second finds the first one's tokens in the buffers
        assert responses(fixed, prompts, seed) == responses(growing, prompts, seed)


def test_spare_rows_forget_an_earlier_batch(tmp_path):
    """A row of a wider batch may have more padding than the next batch has slots; a learned position below 0 would be an error."""
    folder = tiny_model.make(tmp_path, kind="gpt2", n_embd=32, n_layer=2, n_head=2, n_positions=512)
    tokenizer = models.load_chat_tokenizer(folder)
    growing, fixed = decoders((weights.load(folder, torch.float32).eval(), tokenizer, models.end_tokens(folder, tokenizer)), 3, 16)
    for prompts in ([(80, 1), (0, MIN_ROWS)], [(0, 1)]):
        assert responses(fixed, prompts, 0) == responses(growing, prompts, 0)


def test_buffers_grow_with_responses_and_rows(model):
    growing, fixed = decoders(model, 3 * SLOTS, 64)
    for prompts in ([(2, 3)], [(2, MIN_ROWS + 1), (5, 20)]):
        expected = responses(growing, prompts, 0)
        assert max(len(tokens) for tokens, _ in expected.values()) > SLOTS
        assert responses(fixed, prompts, 0) == expected


def test_deterministic_algorithms_stay_as_they_were(model):
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        responses(decoders(model, 3, 8)[1], [(1, 2)], 0)
        assert torch.are_deterministic_algorithms_enabled() and torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
