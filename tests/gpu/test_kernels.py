"""Attention over packed rows on a GPU: values and gradients are those of float64, but for rounding."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from fofg.training.verl import packed_attention

pytestmark = pytest.mark.gpu
LENGTHS = [1, 700, 33, 1300, 2]


def assert_near(ours: Tensor, exact: Tensor, accuracy: float) -> None:
    assert float(((ours.double() - exact).norm() / exact.norm()).detach()) < accuracy


def random(*shape: int) -> Tensor:
    return torch.randn(shape, device="cuda").bfloat16().requires_grad_()


def test_attention_of_packed_rows():
    torch.manual_seed(0)
    rows = [random(1, heads, sum(LENGTHS), 64) for heads in (8, 2, 2)]
    positions = torch.cat([torch.arange(length, device="cuda") for length in LENGTHS])[None]
    ours, _ = packed_attention.attend(None, *rows, None, position_ids=positions)
    alone = zip(*(row.double()[0].split(LENGTHS, dim=1) for row in rows))
    options = {"is_causal": True, "enable_gqa": True}
    exact = torch.cat([scaled_dot_product_attention(*row, **options) for row in alone], dim=1).transpose(0, 1)[None]
    assert ours.dtype == torch.bfloat16
    assert_near(ours, exact, 1e-2)
    weights = torch.randn_like(exact)
    for gradient, best in zip(*(torch.autograd.grad((result * weights).sum(), rows) for result in (ours, exact))):
        assert_near(gradient, best.double(), 2e-2)
