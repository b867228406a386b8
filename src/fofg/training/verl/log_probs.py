"""Log-probabilities of the next tokens in chunks, where the package flash-attn is not installed.

Without it, verl computes them in Python token by token, which on a GPU takes longer than the mathematics. verl imports this module
by name (``model.external_lib``); it takes the place of that function, and leaves flash-attn's alone.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from verl.utils import torch_functional

#: Tokens of a chunk: of 128,256 logits each, its float32 copies take 260 MB.
CHUNK = 512


class ChunkedLogProbs(torch.autograd.Function):
    """Log-probabilities [tokens] of ``labels`` [tokens] under ``logits`` [tokens, vocabulary], in float32 or better."""

    @staticmethod
    def forward(ctx, logits: Tensor, labels: Tensor) -> Tensor:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        norms = torch.cat([chunk.to(dtype).logsumexp(-1) for chunk in logits.split(CHUNK)])
        ctx.save_for_backward(logits, labels, norms)
        return logits.gather(-1, labels[:, None]).squeeze(-1).to(dtype) - norms

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        """Return ``gradient`` times (1 for the label, 0 for others, less the probability)."""
        logits, labels, norms = ctx.saved_tensors
        result = torch.empty_like(logits)
        parts = (tensor.split(CHUNK) for tensor in (result, logits, labels, norms, gradient))
        for target, chunk, chosen, norm, weight in zip(*parts):
            slope = (chunk.to(norm.dtype) - norm[:, None]).exp_().neg_()
            slope.scatter_add_(-1, chosen[:, None], torch.ones_like(norm)[:, None])
            target.copy_(slope.mul_(weight[:, None]))
        return result, None


def log_probs(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the log-probabilities [...] of ``labels`` [...] under ``logits`` [..., vocabulary]."""
    return ChunkedLogProbs.apply(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)).view(labels.shape)


torch_functional.logprobs_from_logits_v2 = log_probs
