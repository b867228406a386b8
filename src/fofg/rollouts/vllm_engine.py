"""Rollouts with vLLM: the offline ``vllm.LLM`` in this process, all samples of a prompt in one request.

Prompts go in and responses come out as token ids, so that chat template, end tokens and text are those of the transformers engine.
"""

import math
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from transformers import AutoConfig

from fofg import models
from fofg.config import Rollouts
from fofg.data.schemas import Message
from fofg.errors import UserError
from fofg.models import weights
from fofg.rollouts.decoding import response_text, token_ids
from fofg.rollouts.engine import Request, Sample
from fofg.runtime import gpus

#: What vLLM reads when it is imported. Its engine runs in this process, so that a kill leaves no other behind (workers of further
#: GPUs end once the pipe to this process closes); it logs warnings only, and reports nothing to its makers.
ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "WARNING", "VLLM_NO_USAGE_STATS": "1"}
_MEMORY = "change rollout_engine.options.gpu_memory_utilization, lower rollouts.max_response_tokens, or use more GPUs"


class VllmEngine:
    """See ``fofg.rollouts.engine.Engine``. On a GPU, rounding depends on what else is decoded: equal seeds need not repeat there.

    ``tensor_parallel_size``: GPUs that hold the model together; ``gpu_memory_utilization``: share of a GPU's memory for it and its
    cache; ``kv_cache_memory_bytes``: of the cache, instead of what that share leaves, which jobs that share a GPU can't measure;
    ``enforce_eager``: without CUDA graphs, a shorter start and slower steps; ``max_num_batched_tokens``: of a step, those of
    prompts included (None: vLLM's choice). Raises UserError if vLLM is missing, or for a model that it can't hold.
    """

    continuous = True

    def __init__(
        self,
        model: Path,
        settings: Rollouts,
        dtype: str = "auto",
        batch_size: int = 128,
        tensor_parallel_size: int = 1,
        gpu_memory_utilization: float = 0.9,
        enforce_eager: bool = False,
        max_num_batched_tokens: int | None = None,
        kv_cache_memory_bytes: int | None = None,
    ):
        vllm = _vllm()
        self.settings, self.batch_size = settings, batch_size
        self.tokenizer, config, self._ends = _read(model)
        self.positions = getattr(config, "max_position_embeddings", None)
        device = vllm.platforms.current_platform.device_type
        if dtype == "auto":
            dtype = "bfloat16" if device == "cuda" else "float32"
        self.identity = {"device": device, "dtype": dtype, "vllm": vllm.__version__}
        self.parameters((0,))  # refuses settings before the model is loaded
        longest = settings.max_prompt_tokens + settings.max_response_tokens
        self.llm = _start(
            model,
            dtype=dtype,
            max_model_len=min(longest, self.positions or longest),
            max_num_seqs=batch_size,
            tensor_parallel_size=tensor_parallel_size,
            gpu_memory_utilization=gpu_memory_utilization,
            enforce_eager=enforce_eager,
            max_num_batched_tokens=max_num_batched_tokens,
            kv_cache_memory_bytes=kv_cache_memory_bytes,
        )
        if config.vocab_size > len(self.tokenizer):
            self.llm.apply_model(partial(_hide_padding, len(self.tokenizer)))
        self._check_logits()

    def prompt_lengths(self, prompts: Sequence[list[Message]]) -> list[int]:
        return [len(ids) for ids in token_ids(self.tokenizer, prompts)]

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, int, Sample]]:
        """Yield all samples of a request once the last of them ends. Raises UserError if the GPU's memory is short."""
        from vllm.inputs import tokens_input

        engine = self.llm.llm_engine
        running = set()
        try:
            for number, ids in enumerate(token_ids(self.tokenizer, [request.prompt for request in requests])):
                engine.add_request(str(number), tokens_input(ids), self.parameters(requests[number].seeds))
                running.add(str(number))
            while engine.has_unfinished_requests():
                for output in engine.step():
                    running.discard(output.request_id)
                    yield from self._samples(int(output.request_id), requests, output)
        except torch.OutOfMemoryError:
            raise UserError("rollout_engine.options.gpu_memory_utilization: the GPU's memory is short; lower it") from None
        finally:
            engine.abort_request(sorted(running))

    def parameters(self, seeds: Sequence[int]):
        """Return vLLM's sampling parameters for one response per seed.

        vLLM seeds the samples of a request with the request's seed and the numbers after it; so the first seed stands for all.
        Greedy, it refuses more than one sample, and they would all be equal. Raises UserError for settings that vLLM refuses.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        greedy = self.settings.temperature == 0
        try:
            return SamplingParams(
                n=1 if greedy else len(seeds),
                seed=seeds[0] % 2**62,  # the last sample's is a signed 64-bit number too
                temperature=self.settings.temperature,
                top_p=self.settings.top_p,
                max_tokens=self.settings.max_response_tokens,
                stop_token_ids=self._ends,
                detokenize=False,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
        except Exception as error:  # vLLM's own are ValueErrors in some versions
            raise UserError(f"rollouts: vLLM refuses the settings ({_reason(error)}); correct them") from None

    def _samples(self, number: int, requests: Sequence[Request], output) -> Iterator[tuple[int, int, Sample]]:
        samples = [
            Sample(response_text(self.tokenizer, completion.token_ids), completion.finish_reason, len(completion.token_ids))
            for completion in output.outputs
        ]
        if self.settings.temperature == 0:
            samples *= len(requests[number].seeds)
        for position, sample in enumerate(samples):
            yield number, position, sample

    def _check_logits(self) -> None:
        """Raise UserError if the model gives no finite logits, as the transformers engine does."""
        from vllm import SamplingParams

        parameters = SamplingParams(max_tokens=1, temperature=0, logprobs=0, detokenize=False)
        output = self.llm.generate([{"prompt_token_ids": [0]}], parameters, use_tqdm=False)[0].outputs[0]
        if not math.isfinite(output.cumulative_logprob):
            raise models.diverged()


def _vllm():
    """Import vLLM. Raises UserError if it isn't installed."""
    for name, value in (ENVIRONMENT | gpus.compiler_settings()).items():
        os.environ.setdefault(name, value)
    try:
        import vllm.platforms
    except ImportError as error:
        raise UserError(
            f"rollout_engine.name: vllm can't be loaded ({error}); install envs/gpu.txt, or use the engine transformers"
        ) from None
    return vllm


def _read(folder: Path):
    """Read tokenizer, language model configuration and end tokens. Raises UserError if they can't be read or don't fit."""
    models.check(folder)
    tokenizer = models.load_chat_tokenizer(folder)
    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise weights.unreadable(folder, error) from None
    return tokenizer, config.get_text_config(), models.end_tokens(folder, tokenizer)


def _hide_padding(tokens: int, model) -> None:
    """Keep a worker's model from sampling tokens beyond those of the tokenizer; verl does the same to its own."""
    compute = model.compute_logits

    def compute_logits(*args, **others):
        logits = compute(*args, **others)
        if logits is not None:  # on one of the GPUs that hold the model together
            logits[..., tokens:] = -math.inf
        return logits

    model.compute_logits = compute_logits


def _start(folder: Path, **arguments):
    """Start ``vllm.LLM``. Raises UserError if memory is short, or for what vLLM refuses."""
    from vllm import LLM

    try:
        return LLM(
            model=str(folder),
            enable_prefix_caching=True,
            disable_log_stats=True,
            use_tqdm_on_load=False,
            **arguments,
        )
    except Exception as error:  # vLLM's workers raise plain ones
        reason = _reason(error)
        if isinstance(error, torch.OutOfMemoryError) or "memory" in reason.lower():
            raise UserError(f"{folder}: vLLM lacks memory ({reason}); {_MEMORY}") from error
        raise UserError(f"{folder}: vLLM can't start ({reason}); correct rollout_engine.options or the model") from error


def _reason(error: Exception) -> str:
    """Return the first line of an error's message, or of the first of pydantic's."""
    message = error.errors()[0]["msg"] if hasattr(error, "errors") else str(error)
    return (message.strip().splitlines() or [type(error).__name__])[0][:300]
