"""Requirements of engines on the rest of the configuration."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fofg.config.stage1 import SFTConfig
from fofg.config.stage2 import Stage2Rl
from fofg.runtime.signals import END_SECONDS

if TYPE_CHECKING:
    from fofg.config.root import Config


def unfit(config: "Config") -> Iterator[str]:
    """Yield the settings that an engine does not support, each as ``path: problem; cure``."""
    sft = {"stage0.sft": config.stage0.sft} if config.stage0.examples else {}
    sft |= {"stage1.sft": config.stage1.sft, "stage2.rft.sft": config.stage2.rft.sft}
    rl, training, rollout = config.stage2.rl, config.training, config.rollout_engine
    engines = {path: section.engine for path, section in sft.items()} | {"stage2.rl": rl.engine}
    if rollout.name == "transformers" and rollout.gpus > 1:
        yield f"rollout_engine.gpus: {rollout.gpus}, but engine transformers uses one; set 1, or name: vllm"
    torch = [path for path, engine in engines.items() if engine == "torch"]
    if torch and training.workers() > 1:
        yield f"training.gpus: engine torch uses one GPU of one node; set {torch[0]}.engine: verl, or gpus: 1 and nodes: 1"
    if torch and rollout.gpus and not training.gpus:
        yield "training.gpus: 0, but rollouts take GPUs (rollout_engine.gpus), and both would be on the first; set 1"
    if training.nodes > 1 and not training.gpus:
        yield "training.nodes: several nodes need GPUs; set training.gpus"
    verl = [path for path, engine in engines.items() if engine == "verl"]
    if verl and (seconds := config.cluster.grace_period) <= END_SECONDS:
        yield f"cluster.grace_period: {seconds}, of which {verl[0]}.engine (verl) needs {END_SECONDS:.0f} to end; raise it"
    for path, section in sft.items():
        if section.engine == "verl":
            yield from _unfit_for_sft(path, section, config)
    if rl.engine == "verl":
        yield from _unfit_for_rl(rl, config)


def _unfit_for_sft(path: str, sft: SFTConfig, config: "Config") -> Iterator[str]:
    workers, tokens = config.training.workers(), config.training.verl.tokens_per_gpu
    if not workers:
        yield f"{path}.engine: verl needs a GPU; set training.gpus, or engine: torch"
    elif sft.batch_size % workers:
        yield f"{path}.batch_size: {sft.batch_size} is no multiple of the {workers} GPUs (training.gpus, nodes)"
    if sft.max_length > tokens:
        yield f"training.verl.tokens_per_gpu: {tokens}, but {path}.max_length is {sft.max_length}; raise it"
    if sft.last_batch != "drop":
        yield f"{path}.last_batch: {sft.last_batch}, which engine verl lacks; set drop, or engine: torch"
    if sft.schedule == "linear":
        yield f"{path}.schedule: linear, which engine verl lacks; set cosine or constant, or engine: torch"
    if sft.precision == "float32":
        yield f"{path}.precision: float32, but engine verl trains in bfloat16 on float32 weights; set auto, or engine: torch"


def _unfit_for_rl(rl: Stage2Rl, config: "Config") -> Iterator[str]:
    training, verl = config.training, config.training.verl
    workers, rows = training.workers(), rl.mini_batch_prompts * rl.rollouts.samples
    length = rl.rollouts.max_prompt_tokens + rl.rollouts.max_response_tokens
    if not workers:
        yield "stage2.rl.engine: verl needs a GPU; set training.gpus, or engine: torch"
    elif rows % workers:
        yield f"stage2.rl.mini_batch_prompts: {rows} responses per update, no multiple of the {workers} GPUs (training.gpus, nodes)"
    elif training.gpus % verl.tensor_parallel_size:
        yield f"training.verl.tensor_parallel_size: {verl.tensor_parallel_size} does not divide training.gpus ({training.gpus})"
    if length > verl.tokens_per_gpu:
        yield (
            f"training.verl.tokens_per_gpu: {verl.tokens_per_gpu}, but stage2.rl.rollouts allows {length} tokens of prompt and "
            "response; raise it"
        )
    if rl.on_empty_step == "skip":
        yield "stage2.rl.on_empty_step: skip, which engine verl lacks; set error, or engine: torch"
    if rl.filter_groups and rl.on_incomplete_step == "train" and rl.loss_agg_mode == "seq-mean-token-mean":
        yield (
            "stage2.rl.on_incomplete_step: train, but engine verl averages seq-mean-token-mean over prompts_per_step groups,"
            " even if there are fewer; set error, or loss_agg_mode: token-mean, or engine: torch"
        )
    if rl.precision == "float32":
        yield "stage2.rl.precision: float32, but engine verl trains in bfloat16 on float32 weights; set auto, or engine: torch"
