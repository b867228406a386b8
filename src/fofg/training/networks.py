"""A network in training: loaded, computed in parts, some side by side on a CPU, and written as a model's folder."""

import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.utils import logging

from fofg import models
from fofg.config import Grpo, Sft, Validation
from fofg.data.files import cure, write_json, writing
from fofg.errors import UserError
from fofg.stages import Spec
from fofg.training import metrics

#: On a CPU and up to this length, plain attention is faster than PyTorch's fused kernel, whose bfloat16 backward pass is slow.
PLAIN_ATTENTION = 1024


class Work(NamedTuple):
    """How the work is done: where checkpoints go, sequences at once a worker, steps between checkpoints, CPU threads."""

    state: Path
    micro_batch_size: int
    save_every: int
    threads: int


def precision(setting: str) -> torch.dtype:
    """``auto``: bfloat16 where the GPU, or the CPU, has instructions for it, else float32."""
    if setting != "auto":
        return getattr(torch, setting)
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    has = torch.cpu.get_capabilities()
    return torch.bfloat16 if has.get("avx512_bf16") or has.get("amx_bf16") else torch.float32


def quiet() -> None:
    """Errors only, and on a GPU the slower kernels that give the same result each time."""
    logging.set_verbosity_error()
    warnings.filterwarnings("ignore", ".*gradient_checkpointing", FutureWarning)
    logging.disable_progress_bar()
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False


def load(model: Path, longest: int):
    """The model with float32 weights, for rows of up to ``longest`` tokens. Raises UserError if it is damaged."""
    attention = "sdpa" if torch.cuda.is_available() or longest > PLAIN_ATTENTION else "eager"
    try:
        network, report = AutoModelForCausalLM.from_pretrained(
            model, dtype=torch.float32, attn_implementation=attention, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{model}: not a loadable language model ({str(error).splitlines()[0]}); {cure(model)}") from None
    if missing := sorted(report["missing_keys"]):
        raise UserError(f"{model}: its weights lack {', '.join(missing[:3])} ({len(missing)} in all); {cure(model)}")
    # A model's own sampling defaults play no part here, and unusual ones can't be saved in a checkpoint.
    network.generation_config = GenerationConfig(eos_token_id=network.generation_config.eos_token_id)
    return network


def positions(network) -> int | None:
    """The longest sequence that a network holds, in tokens; None if it has no limit."""
    return getattr(network.config.get_text_config(), "max_position_embeddings", None)


class Team:
    """Workers that compute the parts of a step, several at once on a CPU.

    They share its threads, since few do more with small matrices. Results come, and gradients are added, in the order of the parts,
    so that the number of workers does not change them. ``rows``: of a step; ``size``: rows of a part.
    """

    def __init__(self, network, threads: int, rows: int, size: int):
        self._workers, self._threads, self._share = None, threads, threads
        drops = any("drop" in name and value for name, value in network.config.to_dict().items() if isinstance(value, float))
        if torch.cuda.is_available() or drops:  # dropout draws from one generator, so its parts must come in order
            return
        workers = min(threads, math.ceil(rows / size))
        self._share = max(1, threads // workers)
        torch.set_num_threads(self._share)
        if workers > 1:
            self._workers = ThreadPoolExecutor(workers, "part", torch.set_num_threads, (self._share,))

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Within: the caller has all threads for itself."""
        torch.set_num_threads(self._threads)
        try:
            yield
        finally:
            torch.set_num_threads(self._share)

    def each(self, work: Callable, parts: Iterable) -> Iterator:
        """``work`` of every part."""
        return self._workers.map(work, parts) if self._workers else map(work, parts)

    def add_gradients(self, network, loss: Callable, parts: Iterable) -> Iterator[torch.Tensor]:
        """Adds the gradients of the loss of every part to the network's; gives the losses, without their graphs."""
        weights = [weight for weight in network.parameters() if weight.requires_grad]

        def gradients(part) -> tuple[torch.Tensor, tuple]:
            value = loss(part)
            return value.detach(), torch.autograd.grad(value, weights, allow_unused=True)

        for value, found in self.each(gradients, parts):
            for weight, gradient in zip(weights, found):
                if gradient is not None:
                    weight.grad = gradient if weight.grad is None else weight.grad.add_(gradient)
            yield value


def arguments(settings: Sft | Grpo, work: Work) -> dict:
    """The arguments that all of TRL's trainers share; one epoch, since the plan of steps holds all that is trained on."""
    cuda = torch.cuda.is_available()
    return {
        "output_dir": str(work.state),
        "num_train_epochs": 1,
        "learning_rate": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "adam_beta1": settings.betas[0],
        "adam_beta2": settings.betas[1],
        "max_grad_norm": settings.max_grad_norm,
        "optim": "adamw_torch_fused",
        "bf16": precision(settings.precision) == torch.bfloat16,
        "use_cpu": not cuda,
        "gradient_checkpointing": cuda,
        "seed": settings.seed,
        "save_steps": work.save_every,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": cuda,
    }


def finish(
    spec: Spec, network, model: Path, output: Path, records: list[metrics.Record], validation: Validation | None = None
) -> None:
    """Writes everything beside the output folder, then moves file by file; weights of an earlier run are removed.

    The folder gets the weights, in the type in which ``model`` stores them, the other files of ``model``, ``metrics.jsonl`` and
    ``spec.json``; and ``validation.json``, the settings of a run's validation, which are no part of the spec. Raises UserError if a
    weight is not finite.
    """
    network.to(models.stored_dtype(model))
    if not all(weight.isfinite().all() for weight in network.parameters()):
        raise UserError(f"{output}: the trained weights are not finite; lower the learning_rate and train again")
    partial = output.parent / f".{output.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    with writing(output):
        network.save_pretrained(partial, max_shard_size="100TB")
        models.copy_settings(model, partial)
    metrics.write(partial / "metrics.jsonl", records)
    write_json(partial / "spec.json", spec.model_dump(mode="json"))
    output.mkdir(parents=True, exist_ok=True)
    if validation:
        write_json(partial / "validation.json", validation.model_dump(mode="json"))
    else:
        (output / "validation.json").unlink(missing_ok=True)
    new = sorted(path.name for path in partial.iterdir())
    for name in new:
        shutil.copymode(partial / "metrics.jsonl", partial / name)  # safetensors makes its files private
    for name in new:
        os.replace(partial / name, output / name)
    for old in models.weight_files(output):
        if old.name not in new:
            old.unlink()
    partial.rmdir()
