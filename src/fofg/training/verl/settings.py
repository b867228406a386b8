"""Settings of verl's trainers: overrides of their own configurations, which hold everything else.

The values come from ``stage1.sft``, ``stage2.rft.sft`` or ``stage2.rl``, and from ``training.verl`` for memory and speed.
docs/paper.md compares them with the paper's.
"""

import importlib.util
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fofg.config import GRPOConfig, Scoring, SFTConfig, Validation, VerlConfig
from fofg.training.verl.protocol import DRAWN, ERROR, KEPT, STOP

#: Test losses computed during a run.
TESTS = 10
#: Module that replaces what verl leaves to the package flash-attn.
ATTENTION = "fofg.training.verl.packed_attention"


class LaunchConfig(NamedTuple):
    """Where a run keeps its files, and on what it runs.

    ``gpus``, ``cpus``: per node; ``folder``: of checkpoints, one every ``save_every`` steps, but for ``max_save_share`` of the time
    at most; ``model``: the folder to start from; ``positions``: the longest sequence that it holds; ``keep_rollouts``: problems per
    step that RL keeps with their responses.
    """

    gpus: int
    nodes: int
    cpus: int
    folder: Path
    save_every: int
    model: Path
    positions: int | None
    max_save_share: float = 1.0
    keep_rollouts: int = 0


def overrides(values: dict, prefix: str = "") -> Iterator[str]:
    """Yield nested settings as Hydra overrides ``key=value``. A key with + is one that verl's own configuration lacks."""
    for name, value in values.items():
        key = f"+{prefix}{name[1:]}" if name.startswith("+") else f"{prefix}{name}"
        if isinstance(value, dict):
            plus = "+" if key.startswith("+") else ""
            yield from (f"{plus}{entry}" for entry in overrides(value, f"{key.removeprefix('+')}."))
        else:
            yield f"{key}={_quoted(value) if isinstance(value, str) else json.dumps(value)}"


def _quoted(text: str) -> str:
    """Quote a text for Hydra, in whose quotes backslashes have a meaning only before a quote."""
    return '"' + re.sub(r'(\\*)("|$)', lambda match: 2 * match[1] + (match[2] and '\\"'), text) + '"'


def program(module: str, values: dict, folder: Path) -> list[str]:
    """Return the command that runs one of verl's trainers with ``config``. Hydra's own log goes to ``folder``."""
    return ["-m", module, *overrides(values | {"hydra": {"run": {"dir": str(folder)}, "output_subdir": None}})]


def attention(verl: VerlConfig) -> str:
    """Return the attention implementation. ``auto``: flash_attention_2 where it is installed."""
    if verl.attention != "auto":
        return verl.attention
    return "flash_attention_2" if importlib.util.find_spec("flash_attn") else "sdpa"


def sft(config: SFTConfig, verl: VerlConfig, launch: LaunchConfig, train: Path, test: Path | None, steps: int) -> dict:
    """Return the settings of ``verl.trainer.sft_trainer`` for files of tokens (fofg.training.verl.rows)."""
    return {
        "data": {
            "train_files": str(train),
            "val_files": test and str(test),
            "train_batch_size": config.batch_size,
            "use_dynamic_bsz": True,
            "max_token_len_per_gpu": verl.tokens_per_gpu,
            "max_length": config.max_length,
            "pad_mode": "no_padding",
            "num_workers": 0,  # workers would die of a SIGTERM to all processes before the trainer has saved
            "custom_cls": {"path": "pkg://fofg.training.verl.rows", "name": "Tokens"},
        },
        "model": _model(verl, launch),
        "optim": {
            "lr": config.learning_rate,
            "lr_scheduler_type": config.schedule,
            "lr_warmup_steps": math.ceil(config.warmup_ratio * steps),
            "weight_decay": config.weight_decay,
            "betas": list(config.betas),
            "clip_grad": config.max_grad_norm,
        },
        "checkpoint": {"save_contents": ["model", "optimizer", "extra"]},
        "trainer": {
            **_trainer(launch, "sft"),
            "total_epochs": config.epochs,
            "total_training_steps": steps,
            "test_freq": max(1, math.ceil(steps / TESTS)) if test else -1,
            "max_ckpt_to_keep": 2,
            "+max_save_share": launch.max_save_share,
            "seed": config.seed,
        },
    }


def grpo(
    config: GRPOConfig,
    scoring: Scoring,
    verl: VerlConfig,
    launch: LaunchConfig,
    validation_file: Path,
    validation: Validation | None,
    on_incomplete_step: str,
    train_file: Path,
    steps: int,
    validates_first: bool,
) -> dict:
    """Return the settings of ``verl.trainer.main_ppo`` (V1 trainer, synchronous), up to step number ``steps``.

    ``train_file``: problems in the order in which they are drawn; ``validation``: when and how the problems of ``validation_file``
    are answered (None: never).
    """
    rollouts = config.rollouts
    greedy = bool(validation and validation.greedy)
    length = min(rollouts.max_prompt_tokens + rollouts.max_response_tokens, launch.positions or sys.maxsize)
    draws = {
        "filter_groups": config.filter_groups,
        "on_incomplete_step": on_incomplete_step,
        "generation_prompts": config.generation_prompts,
        "max_generation_batches": config.max_generation_batches,
        "max_save_share": launch.max_save_share,
        "error": str(launch.folder / ERROR),
        "drawn": str(launch.folder / DRAWN),
        "stop": str(launch.folder / STOP),
        "keep_rollouts": launch.keep_rollouts,
        "kept": str(launch.folder / KEPT),
    }
    return {
        "algorithm": {
            "adv_estimator": "grpo",
            "norm_adv_by_std_in_grpo": config.scale_rewards == "group",
            "use_kl_in_reward": False,
            "filter_groups": {"enable": config.filter_groups, "metric": "reward"},
        },
        "data": {
            "train_files": str(train_file),
            "val_files": str(validation_file),
            "train_batch_size": config.prompts_per_step,
            "max_prompt_length": rollouts.max_prompt_tokens,
            "max_response_length": rollouts.max_response_tokens,
            "shuffle": False,
            "seed": config.seed,
            "dataloader_num_workers": 0,
        },
        "actor_rollout_ref": {
            "model": _model(verl, launch),
            "actor": _actor(config, verl),
            "ref": {"fsdp_config": {"param_offload": verl.offload, "use_torch_compile": verl.torch_compile}},
            "rollout": {
                "name": "vllm",
                "n": rollouts.samples,
                "temperature": rollouts.temperature,
                "top_p": rollouts.top_p,
                "top_k": -1,
                "max_model_len": length,
                "max_num_batched_tokens": max(verl.tokens_per_gpu, length),
                "tensor_model_parallel_size": verl.tensor_parallel_size,
                "gpu_memory_utilization": verl.gpu_memory_utilization,
                "enforce_eager": verl.enforce_eager,
                "free_cache_engine": True,
                "agent": {"num_workers": 2 * launch.nodes},
                "val_kwargs": {
                    "do_sample": not greedy,
                    "temperature": 0.0 if greedy else rollouts.temperature,
                    "top_p": 1.0 if greedy else rollouts.top_p,
                    "n": 1,
                },
            },
        },
        "critic": {"enable": False},
        "reward": {
            "num_workers": 2 * launch.nodes,
            "custom_reward_function": {
                "path": "pkg://fofg.tasks.rewards",
                "name": "compute_score",
                "+reward_kwargs": {"scheme": scoring.scheme, "answer_rule": scoring.answer_rule},
            },
            "reward_manager": {
                "source": "importlib",
                "name": "RewardManager",
                "module": {"path": "pkg://fofg.training.verl.reward"},
            },
        },
        "trainer": {
            **_trainer(launch, "rl"),
            "use_v1": True,
            "v1": {
                "trainer_mode": "sync",
                "sampler": {
                    "custom_sampler": {"path": "pkg://fofg.training.verl.groups", "name": "Groups"},
                    "sampler_kwargs": {f"+{name}": value for name, value in draws.items()},
                },
            },
            "total_epochs": 1_000_000_000,  # the number of steps ends a run, not the number of epochs
            "total_training_steps": steps,
            "test_freq": (validation and validation.every) or -1,
            "val_before_train": validates_first,
            "max_actor_ckpt_to_keep": 2,
        },
        "transfer_queue": {"backend": {"SimpleStorage": {"num_data_storage_units": launch.nodes}}},
        "ray_kwargs": {"ray_init": {"+address": "auto"}},
    }


def _model(verl: VerlConfig, launch: LaunchConfig) -> dict:
    return {
        "path": str(launch.model),
        "external_lib": ATTENTION if verl.attention == "varlen" else None,
        "use_remove_padding": True,
        "enable_gradient_checkpointing": verl.gradient_checkpointing,
        "use_liger": verl.liger,
        "use_fused_kernels": verl.fused_kernels,
        "fused_kernel_options": {"impl_backend": "torch"},
        "+override_config": {"attn_implementation": attention(verl)},
    }


def _actor(config: GRPOConfig, verl: VerlConfig) -> dict:
    return {
        "strategy": "fsdp",
        "ppo_mini_batch_size": config.mini_batch_prompts,
        "ppo_epochs": 1,
        "clip_ratio": config.clip_low,
        "clip_ratio_low": config.clip_low,
        "clip_ratio_high": config.clip_high,
        "loss_agg_mode": config.loss_agg_mode,
        "use_kl_loss": config.kl_coef > 0,
        "kl_loss_coef": config.kl_coef,
        "kl_loss_type": "low_var_kl",
        "entropy_coeff": config.entropy_coef,
        "calculate_entropy": True,
        "entropy_from_logits_with_chunking": True,
        "grad_clip": config.max_grad_norm,
        "use_dynamic_bsz": True,
        "ppo_max_token_len_per_gpu": verl.tokens_per_gpu,
        "optim": {
            "lr": config.learning_rate,
            "lr_scheduler_type": "constant",
            "lr_warmup_steps": math.ceil(config.warmup_steps * config.mini_batch_prompts / config.prompts_per_step),
            "weight_decay": config.weight_decay,
            "betas": list(config.betas),
        },
        "fsdp_config": {
            "param_offload": verl.offload,
            "optimizer_offload": verl.offload,
            "use_torch_compile": verl.torch_compile,
        },
        "use_torch_compile": verl.torch_compile,
        "checkpoint": {"save_contents": ["model", "optimizer", "extra"]},
    }


def _trainer(launch: LaunchConfig, name: str) -> dict:
    return {
        "default_local_dir": str(launch.folder),
        "project_name": "fofg",
        "experiment_name": name,
        "logger": ["file"],
        "save_freq": launch.save_every,
        "resume_mode": "auto",
        "n_gpus_per_node": launch.gpus,
        "nnodes": launch.nodes,
    }
