"""Attention over packed rows, which replaces flash-attn in verl."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from fofg.training.verl import packed_attention

pytestmark = pytest.mark.engines
LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def attention(query, key, value):
    """The causal attention of one sequence [heads, tokens, size], written out."""
    key, value = (tensor.repeat_interleave(len(query) // len(tensor), dim=0) for tensor in (key, value))
    scores = query @ key.mT / query.shape[-1] ** 0.5
    return scores.masked_fill(torch.ones_like(scores[0]).triu(1).bool(), -torch.inf).softmax(-1) @ value


@given(LENGTHS, st.sampled_from([1, 2, 4]), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_packed_sequences_are_computed_as_if_each_were_alone(lengths, shared, seed):
    torch.manual_seed(seed)
    sizes = [(1, heads, sum(lengths), 6) for heads in (4, shared, shared)]
    rows = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    packed, _ = packed_attention.attend(None, *rows, None, position_ids=positions)
    alone = [attention(*row) for row in zip(*(tensor[0].split(lengths, dim=1) for tensor in rows))]
    expected = torch.cat(alone, dim=1).transpose(0, 1)[None]
    torch.testing.assert_close(packed, expected, rtol=1e-10, atol=1e-10)
    weights = torch.randn_like(expected)
    both = [torch.autograd.grad((result * weights).sum(), rows) for result in (packed, expected)]
    torch.testing.assert_close(*both, rtol=1e-10, atol=1e-10)


@pytest.fixture(scope="module")
def network(tiny_model):
    return AutoModelForCausalLM.from_pretrained(tiny_model, attn_implementation="varlen")


def test_a_model_of_transformers_hands_it_the_positions(network, tiny_model):
    other = AutoModelForCausalLM.from_pretrained(tiny_model, attn_implementation="sdpa")
    rows = [torch.randint(0, network.config.vocab_size, (length,)) for length in (3, 1, 7)]
    positions = torch.cat([torch.arange(len(row)) for row in rows])[None]
    packed = network(input_ids=torch.cat(rows)[None], attention_mask=None, position_ids=positions, use_cache=False).logits[0]
    torch.testing.assert_close(packed, torch.cat([other(input_ids=row[None]).logits[0] for row in rows]), rtol=1e-4, atol=1e-5)


def test_the_kernel_takes_what_it_is_given():
    """Its shapes and types alone, since it runs on GPUs only."""
    packed = packed_attention.sequences(torch.tensor([[0, 1, 2, 0, 1]]))
    assert packed.bounds.tolist() == [0, 3, 5] and packed.bounds.dtype == torch.int32 and packed.longest == 3
    on_gpu = packed._replace(bounds=packed.bounds.to("meta"))
    rows = [torch.empty(5, 4, 16, device="meta", requires_grad=True) for _ in range(3)]
    result = packed_attention._with_kernel(*rows, on_gpu, 0.25)
    assert result.shape == (5, 4, 16) and result.dtype == torch.float32
    assert all(gradient.shape == (5, 4, 16) for gradient in torch.autograd.grad(result.sum(), rows))


def test_positions_that_change_in_place_are_looked_at_again():
    positions = torch.tensor([[0, 1, 0, 1]])
    assert packed_attention.sequences(positions) is packed_attention.sequences(positions)
    positions[0, 2] = 2
    assert packed_attention.sequences(positions).bounds.tolist() == [0, 4]


@pytest.mark.parametrize("others", [{"sliding_window": 4}, {"softcap": 30.0}, {"dropout": 0.1}, {"position_ids": None}])
def test_what_is_not_computed_is_an_error(others):
    rows = [torch.zeros(1, 2, 5, 4) for _ in range(3)]
    options = {"attention_mask": None, "position_ids": torch.arange(5)[None]} | others
    with pytest.raises(ValueError, match=r"training\.verl\.attention: sdpa"):
        packed_attention.attend(None, *rows, **options)


def test_padding_is_an_error(network):
    with pytest.raises(ValueError, match="rows that are not packed"):
        network(input_ids=torch.ones(2, 3).long(), attention_mask=torch.tensor([[1, 1, 1], [0, 1, 1]]))


PROGRAM = """
import sys
from pathlib import Path
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from verl.utils.config import omega_conf_to_dataclass
from verl_configs import composed, grpo, load, place
from fofg.training.verl.settings import sft

folder, model = map(Path, sys.argv[1:])
chosen = load("paper.yaml")
where = place(chosen, folder, model, 25)
rl = composed("ppo_trainer", grpo(chosen, where, folder / "t", folder / "v", 1, False)).actor_rollout_ref.model
tuned = composed("sft_trainer_engine", sft(chosen.stage1.sft, chosen.training.verl, where, folder / "t", None, 1)).model
assert "varlen" not in ALL_ATTENTION_FUNCTIONS
for config in (rl, tuned):
    assert omega_conf_to_dataclass(config).hf_config._attn_implementation == "varlen"
assert "varlen" in ALL_ATTENTION_FUNCTIONS
"""


def test_verl_loads_it_with_the_model(tmp_path, tiny_model):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path, tiny_model], cwd="tests/engines", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
