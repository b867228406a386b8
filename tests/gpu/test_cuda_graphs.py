"""Decoding with CUDA graphs on a GPU: the same samples as the same steps without capture, each time, and while weights change."""

from pathlib import Path

import pytest
import torch
from rollout_rows import sampling

from fofg import models
from fofg.models import weights
from fofg.rollouts.cuda_graphs import GraphDecoder
from fofg.rollouts.decoding import Decoder
from fofg.rollouts.engine import Request

MODEL = Path(__file__).parents[2] / "resources/tiny-base"
pytestmark = pytest.mark.gpu


def responses(decoder: Decoder) -> dict:
    text = "You are given this Python code:\n\ndef main_solution(x):\n    return func_3(x)\n\n"
    prompts = [[{"role": "user", "content": text + "x" * number}] for number in range(30)]
    wanted = [Request(prompt, tuple(range(9 * number, 9 * number + 9))) for number, prompt in enumerate(prompts)]
    with torch.autocast("cuda", torch.bfloat16):  # as in reinforcement learning
        return {(number, place): answer.tokens.tolist() for number, place, answer in decoder.generate(wanted)}


def test_graphs_compute_what_they_captured():
    network = weights.load(MODEL, torch.float32).to("cuda").eval()
    tokenizer, limits = models.load_chat_tokenizer(MODEL), sampling(max_response_tokens=200)
    graphs, plain = (Decoder(network, tokenizer, limits, models.end_tokens(MODEL, tokenizer), 128) for _ in range(2))
    plain.graphs = GraphDecoder(network, limits, plain.end_tokens, len(tokenizer), capture=False)
    for _ in range(3):
        expected = responses(plain)
        assert responses(graphs) == expected
        assert responses(graphs) == expected
        assert graphs.graphs.capture and graphs.graphs.graphs
        with torch.no_grad():
            for weight in network.parameters():
                weight.mul_(0.99)
