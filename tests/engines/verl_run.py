"""verl's synchronous trainer without its model.

Ray, TransferQueue, rollout and reward workers, and the trainer's loop are real. Scripts stand in for the language model's responses
(scripted_client), and a counter for its weights.
"""

import shutil
import tempfile
import time
from pathlib import Path

import ray
import rl_problems
import transfer_queue as tq
from omegaconf import OmegaConf
from scripted_client import ScriptedClient
from verl.experimental.reward_loop import RewardLoopManager
from verl.trainer.ppo.v1 import AgentLoopManagerTQ, get_trainer_cls
from verl.utils.skip import SkipManager
from verl_configs import rl

from fofg.training.verl import rows
from fofg.training.verl.protocol import last_step

#: Responses per problem, and maximum tokens of each.
SAMPLES, LIMIT = 4, 32
#: Level and script of a problem with equal rewards, and of one with different rewards.
SAME, MIXED = (1, "RRRR"), (1, "RWRW")


def problem(index: int, level: int, script: str) -> dict:
    row = rl_problems.problem(index, level, "a")
    return row | {"prompt": [{"role": "user", "content": f"{index} script: {script}"}]}


class Weights:
    """The number of updates, saved and loaded in place of a model's weights."""

    def __init__(self):
        self.updates = 0

    def save_checkpoint(self, path: str, remote, step: int, max_ckpt_to_keep: int) -> None:
        Path(path).mkdir(parents=True)
        Path(path, "updates").write_text(str(self.updates))

    def load_checkpoint(self, local_path: str, del_local_after_load: bool) -> None:
        self.updates = int(Path(local_path, "updates").read_text())


class Trainer(get_trainer_cls("sync")):
    """``refills``: numbers of further prompts requested in a step; ``at``: hooks at a step's ``update`` and ``end``."""

    def __init__(self, config):
        self.refills, self.at, self.actor_rollout_wg = [], {}, Weights()
        super().__init__(config)

    def _add_prompts_to_generate(self, prompts: int) -> int:
        self.refills.append(prompts)
        return super()._add_prompts_to_generate(prompts)

    def _update_actor(self, batch, metrics: dict):
        self.actor_rollout_wg.updates += 1
        names = ("lr", "pg_loss", "pg_clipfrac", "entropy", "grad_norm")
        metrics.update({f"actor/{name}": float(self.actor_rollout_wg.updates) for name in names})
        self.at.get(("update", self.global_steps), lambda: None)()
        return batch

    def on_step_end(self) -> None:
        self.at.get(("end", self.global_steps), lambda: None)()

    def on_sample_end(self) -> None:
        pass

    def _balance_batch(self, batch, metrics: dict):
        return batch

    def _compute_old_log_prob(self, batch, metrics: dict):
        return batch

    def _get_n_gpus_for_throughput(self) -> int:
        return 1


class Run:
    """A trainer as verl.trainer.main_ppo sets it up, without its workers on GPUs."""

    def __init__(self, folder: Path, model: Path):
        self.folder, self.home = folder, tempfile.mkdtemp(prefix="fofg-test-", dir="/tmp")
        rollouts = {"samples": SAMPLES, "max_response_tokens": LIMIT, "max_prompt_tokens": 64}
        self.config = config = rl(folder, model, {"rollouts": rollouts})
        environment = {"TRANSFER_QUEUE_ENABLE": "1", "PYTHONPATH": str(Path(__file__).parent)}
        options = {"include_dashboard": False, "log_to_driver": False, "_temp_dir": self.home}
        options["_system_config"] = {"memory_monitor_refresh_ms": 0}  # other programs' memory use must not kill workers
        ray.init(address="local", num_cpus=8, runtime_env={"env_vars": environment}, **options)
        config.transfer_queue.enable = True
        OmegaConf.resolve(config)
        tq.init(config.transfer_queue)
        SkipManager.init(config)
        self.trainer = Trainer(config=config)
        self.trainer._init_tokenizer()
        self.trainer.reward_loop_manager = RewardLoopManager(config=config)
        self.trainer.agent_loop_manager = AgentLoopManagerTQ.create(
            config=config,
            llm_client=ScriptedClient(str(model), LIMIT),
            teacher_client=None,
            reward_loop_worker_handles=self.trainer.get_reward_handles(),
        )

    def close(self) -> None:
        tq.close()
        ray.shutdown()
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def refills(self) -> list[int]:
        return self.trainer.refills

    def load(self, scripts: list[tuple[int, str]], wanted: int, generation: int, most: int, **more) -> None:
        """Set the problems (level, script) in order, groups per step, groups per batch, and the maximum of batches.

        ``more``: other keywords of the sampler.
        """
        made = [problem(index, level, script) for index, (level, script) in enumerate(scripts)]
        for name in ("t", "v"):
            rows.write_problems(self.folder / f"{name}.parquet", made)
        self.config.data.train_batch_size = wanted
        kwargs = self.config.trainer.v1.sampler.sampler_kwargs
        kwargs.generation_prompts, kwargs.max_generation_batches = generation, most
        kwargs.update({"filter_groups": True, "on_incomplete_step": "train", **more})
        for name in (kwargs.error, kwargs.drawn, kwargs.stop):
            Path(name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
        self.config.trainer.default_local_dir = str(self.folder / "checkpoints")
        self.begin()

    def begin(self) -> None:
        """Reset to an empty queue, as in a new process, once all running requests have finished."""
        while any(tag["status"] in ("pending", "running") for keys in (tq.kv_list() or {}).values() for tag in keys.values()):
            time.sleep(0.1)
        self.trainer._init_dataloader()
        self.trainer._init_dump_executor()
        self.trainer.replay_buffer = self.trainer._build_replay_buffer()
        for partition, keys in (tq.kv_list() or {}).items():
            if keys:
                tq.kv_clear(keys=list(keys), partition_id=partition)

    def step(self, number: int = 1):
        """Sample as the trainer does first in a step. Return the groups and metrics."""
        self.trainer.refills, self.trainer.global_steps = [], number
        self.trainer.prepare_step()
        wanted = self.config.data.train_batch_size
        return self.trainer.replay_buffer.sample(global_steps=number, partition_id="train", batch_size=wanted)

    def fit(self, steps: int, at: dict, save_every: int = 100, validate_every: int = -1, validates_first: bool = False) -> None:
        """Start the trainer from its last checkpoint, if any; ``at``: the trainer's."""
        options = self.config.trainer
        options.total_training_steps, options.save_freq = steps, save_every
        options.test_freq, options.val_before_train = validate_every, validates_first
        Path(options.default_local_dir).mkdir(exist_ok=True)
        for name in ("error", "stop"):
            Path(options.v1.sampler.sampler_kwargs[name]).unlink(missing_ok=True)
        self.trainer.at, self.trainer.actor_rollout_wg = at, Weights()
        self.begin()
        self.trainer._load_checkpoint()
        try:
            self.trainer.fit(self.trainer.agent_loop_manager)
        finally:
            self.trainer.logger.finish()

    def saved(self) -> int:
        return last_step(Path(self.config.trainer.default_local_dir))
