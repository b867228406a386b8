"""Settings of verl's trainers: verl accepts them, and paper.yaml gives the paper's values."""

import string

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import open_dict
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils import torch_functional
from verl.utils.config import omega_conf_to_dataclass, validate_config
from verl_configs import OVERLAYS, composed, grpo, load, place

from fofg.training.sft import schedule
from fofg.training.verl import settings

pytestmark = pytest.mark.engines

#: Sections that verl turns into dataclasses: in main_ppo's workers, and in sft_trainer's _build_config.
RL_SECTIONS = ["actor", "rollout", "model", "rollout.checkpoint_engine"]
SFT_SECTIONS = ["model", "engine", "optim", "checkpoint", "profiler"]


def rl_values(chosen, folder, model, steps=700, validates_first=True, **rl):
    where = place(chosen, folder, model, chosen.training.rl_save_every)
    return grpo(chosen, where, folder / "t.parquet", folder / "v.parquet", steps, validates_first, **rl)


def sft_values(chosen, folder, model, steps=1812, test=True, iteration=False):
    config = chosen.stage2.rft.sft if iteration else chosen.stage1.sft
    where = place(chosen, folder, model, chosen.training.save_every)
    return settings.sft(config, chosen.training.verl, where, folder / "t.parquet", folder / "v.parquet" if test else None, steps)


def rl(overlay, folder, model, verl=None, **changes):
    return composed("ppo_trainer", rl_values(load(overlay, {"training": {"verl": verl or {}}}), folder, model, **changes))


def sft(overlay, folder, model, verl=None, **changes):
    return composed("sft_trainer_engine", sft_values(load(overlay, {"training": {"verl": verl or {}}}), folder, model, **changes))


def select(config, path):
    for name in path.split("."):
        config = config[name]
    return config


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_verl_accepts_the_rl_settings(overlay, tmp_path, tiny_model):
    config = rl(overlay, tmp_path, tiny_model)
    assert not need_critic(config) and not need_reference_policy(config)
    validate_config(config, use_reference_policy=False, use_critic=False)
    made = {path: omega_conf_to_dataclass(select(config.actor_rollout_ref, path)) for path in RL_SECTIONS}
    chosen = {"paper.yaml": "varlen", "gpu-tiny.yaml": "sdpa"}[overlay]
    assert made["model"].hf_config._attn_implementation == chosen
    assert made["model"].override_config == {"attn_implementation": chosen}
    assert made["model"].use_liger == made["model"].use_fused_kernels == (overlay == "paper.yaml")
    assert omega_conf_to_dataclass(config.algorithm).filter_groups.enable
    # ActorRolloutRefWorker asserts this
    assert config.actor_rollout_ref.actor.use_dynamic_bsz == config.actor_rollout_ref.rollout.log_prob_use_dynamic_bsz
    tokens = load(overlay).training.verl.tokens_per_gpu
    assert made["rollout"].log_prob_max_token_len_per_gpu == made["actor"].ppo_max_token_len_per_gpu == tokens


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("iteration", [False, True])
def test_verl_accepts_the_sft_settings(overlay, iteration, tmp_path, tiny_model):
    config = sft(overlay, tmp_path, tiny_model, iteration=iteration)
    made = {name: omega_conf_to_dataclass(config[name]) for name in SFT_SECTIONS}
    assert made["engine"].strategy == "fsdp" and made["engine"].model_dtype == "fp32" and made["engine"].dtype == "bfloat16"
    assert made["model"].use_remove_padding and config.data.pad_mode == "no_padding"
    assert set(made["checkpoint"].load_contents) == {"model", "optimizer", "extra"}


def test_the_rl_settings_are_the_papers(tmp_path, tiny_model):
    config = rl("paper.yaml", tmp_path, tiny_model)
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    rollout = omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
    algorithm, trainer, data = omega_conf_to_dataclass(config.algorithm), config.trainer, config.data
    assert (actor.optim.lr, actor.optim.lr_scheduler_type, actor.optim.lr_warmup_steps) == (1e-6, "constant", 0)
    assert (actor.clip_ratio, actor.clip_ratio_low, actor.clip_ratio_high) == (0.2, 0.2, 0.2)
    assert (actor.loss_agg_mode, actor.policy_loss.loss_mode) == ("token-mean", "vanilla")
    assert (actor.use_kl_loss, algorithm.use_kl_in_reward, actor.entropy_coeff) == (False, False, 0)
    assert (tuple(actor.optim.betas), algorithm.filter_groups.enable) == ((0.9, 0.999), True)
    assert (data.train_batch_size, actor.ppo_mini_batch_size, actor.ppo_epochs, rollout.n) == (16, 16, 1, 16)
    assert (rollout.temperature, rollout.top_p, rollout.top_k) == (1.0, 1.0, -1)
    assert (rollout.prompt_length, rollout.response_length, rollout.max_model_len) == (1024, 8192, 9216)
    kept = rollout.val_kwargs
    assert (kept.do_sample, kept.temperature, kept.top_p, kept.top_k, kept.n) == (True, 1.0, 1.0, -1, 1)
    assert (algorithm.adv_estimator, algorithm.norm_adv_by_std_in_grpo) == ("grpo", True)
    draws = trainer.v1.sampler.sampler_kwargs
    assert (draws.generation_prompts, draws.max_generation_batches) == (32, 10)
    assert (trainer.save_freq, trainer.test_freq, trainer.total_training_steps) == (25, 25, 700)
    assert (trainer.n_gpus_per_node, trainer.nnodes) == (8, 1)
    assert data.shuffle is False and data.validation_shuffle is False and data.filter_overlong_prompts is False
    reward_settings = config.reward.custom_reward_function.reward_kwargs
    assert dict(reward_settings) == load("paper.yaml").scoring.model_dump() and reward_settings.answer_rule == "published"


@pytest.mark.parametrize("offload", [False, True])
def test_weights_leave_the_gpu_only_where_vllm_shares_it(offload, tmp_path, tiny_model):
    engine = sft("paper.yaml", tmp_path, tiny_model, {"offload": offload}).engine
    actor = rl("paper.yaml", tmp_path, tiny_model, {"offload": offload}).actor_rollout_ref.actor.fsdp_config
    assert (engine.param_offload, engine.optimizer_offload) == (False, False)
    assert (actor.param_offload, actor.optimizer_offload) == (offload, offload)


@pytest.mark.parametrize(("iteration", "epochs"), [(False, 2), (True, 1)])
def test_the_sft_settings_are_the_papers(iteration, epochs, tmp_path, tiny_model):
    config = sft("paper.yaml", tmp_path, tiny_model, iteration=iteration)
    assert (config.optim.lr, config.data.train_batch_size, config.trainer.total_epochs) == (2e-5, 128, epochs)
    assert (config.optim.lr_scheduler_type, config.optim.lr_warmup_steps, config.optim.clip_grad) == ("cosine", 182, 1.0)
    assert (config.optim.weight_decay, tuple(config.optim.betas)) == (0.01, (0.9, 0.95))
    assert (config.data.max_length, config.data.max_token_len_per_gpu) == (5120, 17408)
    assert (config.trainer.test_freq, config.trainer.total_training_steps) == (182, 1812)
    assert config.trainer.save_freq == load("paper.yaml").training.save_every


def test_a_kl_penalty_gives_a_reference_model_set_up_like_the_actor(tmp_path, tiny_model):
    """Built as in ActorRolloutRefWorker."""
    penalty = {"kl_coef": 0.01, "entropy_coef": 0.001, "loss_agg_mode": "seq-mean-token-mean"}
    config = rl("paper.yaml", tmp_path, tiny_model, {"offload": True}, **penalty)
    assert need_reference_policy(config) and not config.algorithm.use_kl_in_reward
    validate_config(config, use_reference_policy=True, use_critic=False)
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    assert (actor.use_kl_loss, actor.kl_loss_coef, actor.kl_loss_type) == (True, 0.01, "low_var_kl")
    assert (actor.entropy_coeff, actor.loss_agg_mode) == (0.001, "seq-mean-token-mean")
    with open_dict(config.actor_rollout_ref.ref) as given:
        given.ppo_mini_batch_size = actor.ppo_mini_batch_size
        given.ppo_micro_batch_size = given.pop("log_prob_micro_batch_size")
        given.ppo_micro_batch_size_per_gpu = given.pop("log_prob_micro_batch_size_per_gpu")
        given.use_dynamic_bsz = given.pop("log_prob_use_dynamic_bsz")
        given.ppo_max_token_len_per_gpu = given.pop("log_prob_max_token_len_per_gpu")
    ref = omega_conf_to_dataclass(given)
    assert ref.engine.forward_only and ref.engine.param_offload
    assert (ref.engine.strategy, ref.engine.dtype) == (actor.engine.strategy, actor.engine.dtype) == ("fsdp", "bfloat16")
    assert (ref.use_dynamic_bsz, ref.ppo_max_token_len_per_gpu) == (True, 17408)


def test_a_model_with_fewer_positions_limits_the_rollouts(tmp_path, tiny_model):
    chosen = load("paper.yaml")
    where = place(chosen, tmp_path, tiny_model, 25, positions=4096)
    values = grpo(chosen, where, tmp_path / "t", tmp_path / "v", 1, False)
    assert composed("ppo_trainer", values).actor_rollout_ref.rollout.max_model_len == 4096


@pytest.mark.parametrize("kind", ["cosine", "constant"])
def test_the_learning_rate_equals_engine_torchs_at_every_step(kind, tmp_path, tiny_model):
    chosen = load("paper.yaml", {"stage1": {"sft": {"schedule": kind}}})
    optim = composed("sft_trainer_engine", sft_values(chosen, tmp_path, tiny_model, steps=45)).optim
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=optim.lr)
    if kind == "cosine":
        more = {name: optim[name] for name in ("min_lr_ratio", "num_cycles", "zero_indexed_step")} | {"num_training_steps": 45}
        scheduler = torch_functional.get_cosine_schedule_with_warmup(optimizer, num_warmup_steps=optim.lr_warmup_steps, **more)
    else:
        scheduler = torch_functional.get_constant_schedule_with_warmup(optimizer, num_warmup_steps=optim.lr_warmup_steps)
    for step in range(45):
        assert scheduler.get_last_lr()[0] == pytest.approx(2e-5 * schedule(chosen.stage1.sft, step, 45))
        optimizer.step()
        scheduler.step()
    assert optim.lr_warmup_steps == 5


@pytest.mark.parametrize(
    "name", ["with spaces", "a=b", "größe 数", "it's", 'say "so"', "a,b [1] {c: d}", "#1 %2 $3 ~", "back\\slash\\"]
)
def test_paths_reach_verl_unchanged(name, tmp_path, tiny_model):
    folder = tmp_path / name
    config = rl("paper.yaml", folder, tiny_model)
    assert config.data.train_files == str(folder / "t.parquet") and config.data.val_files == str(folder / "v.parquet")
    assert config.trainer.default_local_dir == str(folder)
    files = config.trainer.v1.sampler.sampler_kwargs
    assert (files.error, files.drawn) == (str(folder / "error"), str(folder / "drawn.jsonl"))
    assert sft("paper.yaml", folder, tiny_model).data.val_files == str(folder / "v.parquet")


@given(st.text(st.sampled_from([*string.printable.strip(), " ", "é", "数", "\\", '"', "'"])))
def test_any_text_reaches_verl_unchanged(text):
    (override,) = settings.overrides({"data": {"train_files": text}})
    assert OverridesParser.create().parse_override(override).value() == text
