"""verl's synchronous trainer up to the point where its model would be trained.

Ray, TransferQueue, roll-out and reward workers are real; for the language model a script stands in (scripted_client).
"""

import shutil
import tempfile
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

#: Responses to a problem, and tokens that one may have.
SAMPLES, LIMIT = 4, 32


def problem(index: int, level: int, script: str) -> dict:
    row = rl_problems.problem(index, level, "a")
    return row | {"prompt": [{"role": "user", "content": f"{index} script: {script}"}]}


class Run:
    """A trainer as verl.trainer.main_ppo makes it, but for its workers on GPUs."""

    def __init__(self, folder: Path, model: Path):
        self.folder, self.home = folder, tempfile.mkdtemp(prefix="fofg-ray-", dir="/tmp")
        rollouts = {"samples": SAMPLES, "max_response_tokens": LIMIT, "max_prompt_tokens": 64}
        self.config = config = rl(folder, model, {"rollouts": rollouts})
        environment = {"TRANSFER_QUEUE_ENABLE": "1", "PYTHONPATH": str(Path(__file__).parent)}
        options = {"include_dashboard": False, "log_to_driver": False, "_temp_dir": self.home}
        options["_system_config"] = {"memory_monitor_refresh_ms": 0}  # what else runs here is no reason to kill workers
        ray.init(address="local", num_cpus=8, runtime_env={"env_vars": environment}, **options)
        config.transfer_queue.enable = True
        OmegaConf.resolve(config)
        tq.init(config.transfer_queue)
        SkipManager.init(config)
        self.trainer = get_trainer_cls("sync")(config=config)
        self.trainer._init_tokenizer()
        self.trainer.reward_loop_manager = RewardLoopManager(config=config)
        self.trainer.agent_loop_manager = AgentLoopManagerTQ.create(
            config=config,
            llm_client=ScriptedClient(str(model), LIMIT),
            teacher_client=None,
            reward_loop_worker_handles=self.trainer.get_reward_handles(),
        )
        self._add = self.trainer._add_prompts_to_generate
        self.trainer._add_prompts_to_generate = self._count

    def close(self) -> None:
        tq.close()
        ray.shutdown()
        shutil.rmtree(self.home, ignore_errors=True)

    def _count(self, prompts: int) -> int:
        self.refills.append(prompts)
        return self._add(prompts)

    def load(self, scripts: list[tuple[int, str]], wanted: int, generation: int, most: int) -> None:
        """Problems (level, script) in the order in which they are drawn; groups of a step, of a batch, and batches at most."""
        made = [problem(index, level, script) for index, (level, script) in enumerate(scripts)]
        for name in ("t", "v"):
            rows.write_problems(self.folder / f"{name}.parquet", made)
        self.config.data.train_batch_size = wanted
        kwargs = self.config.trainer.v1.sampler.sampler_kwargs
        kwargs.generation_prompts, kwargs.max_generation_batches = generation, most
        for name in (kwargs.told, kwargs.drawn):
            Path(name).unlink(missing_ok=True)
        self.trainer._init_dataloader()
        self.trainer.replay_buffer = self.trainer._build_replay_buffer()
        for partition, keys in (tq.kv_list() or {}).items():
            if keys:
                tq.kv_clear(keys=list(keys), partition_id=partition)

    def step(self, number: int = 1):
        """What the trainer does first in a step: (the groups that it gets, metrics)."""
        self.refills, self.trainer.global_steps = [], number
        self.trainer.prepare_step()
        wanted = self.config.data.train_batch_size
        return self.trainer.replay_buffer.sample(global_steps=number, partition_id="train", batch_size=wanted)
