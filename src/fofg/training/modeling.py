"""Model utilities for training: load, compute log-probabilities, accumulate gradients on CPU threads, save."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers.utils import logging

from fofg import names
from fofg.config import GRPOConfig, SFTConfig
from fofg.data.files import staged, write_json
from fofg.errors import UserError
from fofg.models import model_files, weights
from fofg.training import kept, metrics
from fofg.training.batches import Batch

#: On a CPU and up to this length, plain attention is faster than PyTorch's fused kernel, whose bfloat16 backward pass is slow.
PLAIN_ATTENTION = 1024
#: Share of a GPU's memory that activations may take; jobs may share it.
ACTIVATIONS = 0.2


def precision(setting: str) -> torch.dtype:
    """Return the dtype of computation. ``auto``: bfloat16 where the GPU, or the CPU, has instructions for it, else float32."""
    if setting != "auto":
        return getattr(torch, setting)
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    has = torch.cpu.get_capabilities()
    return torch.bfloat16 if has.get("avx512_bf16") or has.get("amx_bf16") else torch.float32


def make_deterministic(seed: int) -> None:
    """Seed PyTorch (for dropout) and, on a GPU, choose the slower kernels that give the same result each time."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(seed)
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a module with properties


def load(model: Path, max_length: int, rows: int = 1):
    """Load a model with float32 weights for micro-batches of ``rows`` by up to ``max_length`` tokens, on the GPU if there is one.

    Raises UserError if it is damaged.
    """
    cuda = torch.cuda.is_available()
    attention = "sdpa" if cuda or max_length > PLAIN_ATTENTION else "eager"
    network = weights.load(model, torch.float32, attn_implementation=attention)
    # Computing a layer's activations again in the backward pass takes a third longer, so only where they would fill the GPU.
    if cuda and activation_bytes(network.config, rows * max_length) > ACTIVATIONS * torch.cuda.mem_get_info()[1]:
        network.gradient_checkpointing_enable({"use_reentrant": False})
    return network.to("cuda" if cuda else "cpu")


def activation_bytes(config, tokens: int) -> int:
    """Estimate the memory that a forward pass in bfloat16 keeps for the backward pass, without that of logits."""
    config = config.get_text_config()
    hidden, wide = config.hidden_size, getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    return tokens * config.num_hidden_layers * (40 * hidden + 10 * wide)


def positions(network) -> int | None:
    """Return the longest sequence that a model holds, in tokens; None if it has no limit."""
    return getattr(network.config.get_text_config(), "max_position_embeddings", None)


def adamw(network, config: SFTConfig | GRPOConfig) -> torch.optim.AdamW:
    """Return the optimizer. Matrices decay; biases and the weights of norms, which are vectors, do not."""
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in trained if weight.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [weight for weight in trained if weight.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def update(network, optimizer: torch.optim.Optimizer, learning_rate: float, max_grad_norm: float) -> float:
    """Clip the gradients, make the update, and clear them. Return their norm before clipping."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return float(norm)


def token_log_probs(network, batch: Batch, dtype: torch.dtype, temperature: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the log-probability of every token but the first, and the log-probabilities of the vocabulary at its position.

    ``batch``: ``input_ids`` and ``attention_mask`` [rows, tokens]. Shapes: [rows, tokens - 1] and [rows, tokens - 1, vocabulary].
    """
    with torch.autocast(network.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        output = network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False)
    vocabulary = (output.logits[:, :-1].float() / temperature).log_softmax(-1)  # a softmax in bfloat16 would lose too much
    return vocabulary.gather(-1, batch["input_ids"][:, 1:, None])[..., 0], vocabulary


class GradientWorkers:
    """Threads that compute the micro-batches of an update, several at once on a CPU.

    Few operators on small matrices are faster with two threads than with one, so each thread gets micro-batches of its own.
    Results are returned, and gradients added, in the order of the micro-batches, so the number of threads doesn't change them.
    ``rows``: per update; ``size``: rows per micro-batch.
    """

    def __init__(self, network, threads: int, rows: int, size: int):
        self._pool, self._threads, self._share = None, threads, threads
        drops = any("drop" in name and value for name, value in network.config.to_dict().items() if isinstance(value, float))
        # One GPU gains nothing from threads, and dropout draws from one generator, so its micro-batches must run in order.
        if torch.cuda.is_available() or drops:
            return
        workers = min(threads, math.ceil(rows / size))
        self._share = max(1, threads // workers)
        torch.set_num_threads(self._share)
        if workers > 1:
            self._pool = ThreadPoolExecutor(workers, "gradients", torch.set_num_threads, (self._share,))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Give all threads to the caller, for generation."""
        torch.set_num_threads(self._threads)
        try:
            yield
        finally:
            torch.set_num_threads(self._share)

    def map(self, function: Callable, batches: Iterable) -> Iterator:
        """Apply a function to every micro-batch."""
        return self._pool.map(function, batches) if self._pool else map(function, batches)

    def add_gradients(self, network, loss: Callable[[Batch], torch.Tensor], batches: Iterable[Batch]) -> float:
        """Backpropagate the micro-batches' losses: add their gradients to the model's. Return the sum of the losses."""
        trained = [weight for weight in network.parameters() if weight.requires_grad]

        # Not loss.backward(), which would add to the shared gradients in whatever order the threads finish.
        def gradients(batch: Batch) -> tuple[torch.Tensor, tuple]:
            value = loss(batch)
            return value.detach(), torch.autograd.grad(value, trained, allow_unused=True)

        total = torch.zeros((), device=network.device)
        for value, computed in self.map(gradients, batches):
            total += value
            for weight, gradient in zip(trained, computed):
                if gradient is not None:
                    weight.grad = gradient if weight.grad is None else weight.grad.add_(gradient)
        return float(total)


def random_state() -> list[torch.Tensor]:
    """Return the state of PyTorch's random generators, which dropout uses."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])]


def set_random_state(states: list[torch.Tensor]) -> None:
    """Restore what ``random_state`` returned."""
    torch.set_rng_state(states[0])
    if torch.cuda.is_available() and len(states) > 1:
        torch.cuda.set_rng_state_all(states[1:])


def save(
    network,
    model: Path,
    output: Path,
    records: list[metrics.Record],
    spec: dict,
    validation: dict | None = None,
    one_file: bool = False,
    rollouts: Path | None = None,
) -> None:
    """Write the folder of a trained model: weights in the dtype of ``model``, its other files, metrics, spec, validation.

    ``rollouts``: file of those that ``fofg.training.kept`` keeps, written beside the weights.

    Weights are in shards if those of ``model`` are, unless ``one_file``. Everything is written to a temporary folder, then moved
    file by file; weights of an earlier run are removed. Raises UserError if a weight is not finite.
    """
    network.to(weights.stored_dtype(model))
    if not all(weight.isfinite().all() for weight in network.parameters()):
        raise UserError(f"{output}: the trained weights are not finite; lower the learning_rate and train again")
    with staged(output, replaces=(*model_files.WEIGHTS, "validation.json", names.KEPT)) as folder:
        files = model_files.used_weights(model)
        weights.save(network, folder, 1 if one_file else len(files), largest=max(path.stat().st_size for path in files))
        model_files.copy_settings(model, folder)
        metrics.write(folder / "metrics.jsonl", records)
        write_json(folder / "spec.json", spec)
        if validation:
            write_json(folder / "validation.json", validation)
        if rollouts:
            kept.write(rollouts, folder / names.KEPT)
