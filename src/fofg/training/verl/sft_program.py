"""verl's SFT trainer, extended to save after the current step and exit on a stop request.

The request is a file in the run's folder, or a signal to any of its processes.
"""

# ruff: noqa: E402 - signals and environment first

from pathlib import Path

from fofg.runtime import gpus
from fofg.runtime.processes import die_with_parent
from fofg.runtime.signals import TIME_LIMIT, Stop, record_time_limit, stop_reason, stoppable

record_time_limit()  # before the slow imports: on several nodes, SLURM's signal reaches this process alone
gpus.hide_rocm_names()

import hydra
import torch
from verl.trainer.sft_trainer import SFTTrainer
from verl.utils.device import auto_set_device
from verl.utils.distributed import destroy_global_process_group, initialize_global_process_group

from fofg.data.files import write_text
from fofg.training.run import stop_error
from fofg.training.saving import SaveBudget
from fofg.training.verl.protocol import ERROR, STOP


class Stopped(Exception):
    """The run has saved a checkpoint and exits before its last step; the message says why."""


class Trainer(SFTTrainer):
    """verl's trainer; a run that was stopped and resumed has the checkpoints, metrics and validations of one that was not."""

    def __init__(self, config, stop: Stop):
        self.stop, self.stop_file = stop, Path(config.trainer.default_local_dir) / STOP
        self.trained, self.saves, self.budget = 0, False, SaveBudget(config.trainer.max_save_share)
        super().__init__(config)

    def _build_engine(self) -> None:
        super()._build_engine()
        self._train_batch, self.training_client.train_batch = self.training_client.train_batch, self._train

    def _build_ckpt_handler(self) -> None:
        super()._build_ckpt_handler()
        self._save_checkpoint, self.ckpt_handler.save_checkpoint = self.ckpt_handler.save_checkpoint, self._save

    def _save(self, step: int) -> None:
        """Save a checkpoint that verl finds due, unless it takes too much of the time; one for a stop or the end in any case."""
        if self.saves or step >= self.total_training_steps or self._any(self.rank == 0 and self.budget.allows()):
            with self.budget.spend():
                self._save_checkpoint(step=step)

    def _train(self, data):
        """Train a step, after which verl reads ``save_freq``. Raises Stopped instead if a stop was requested and all is saved."""
        if self.saves or (not self.trained and self._stop_requested()):
            reason = self.stop.reason or stop_reason(self.stop_file) or TIME_LIMIT
            raise Stopped(stop_error(reason, self.resume_global_step + self.trained, self.total_training_steps))
        output = self._train_batch(data=data)
        self.trained += 1
        if self._stop_requested():
            self.saves, self.save_freq = True, 1
        return output

    def _stop_requested(self) -> bool:
        """Return whether any process got a stop request."""
        return self._any(self.stop.is_set() or (self.rank == 0 and bool(stop_reason(self.stop_file))))

    def _any(self, vote: bool) -> bool:
        """Return whether any process votes for it. All agree on the answer, since all have to save together."""
        votes = torch.tensor(int(vote), device=self.device_name)
        torch.distributed.all_reduce(votes, torch.distributed.ReduceOp.MAX)
        return bool(votes.item())


@hydra.main(config_path="pkg://verl.trainer.config", config_name="sft_trainer_engine", version_base=None)
def main(config) -> None:
    die_with_parent()  # torchrun gives its workers sessions of their own, in which they would outlive it
    auto_set_device(config)
    with stoppable() as stop:
        initialize_global_process_group()
        trainer = Trainer(config, stop)
        try:
            trainer.fit()
        except Stopped as stopped:
            if trainer.rank == 0:
                print(stopped, flush=True)
                write_text(Path(config.trainer.default_local_dir) / ERROR, str(stopped))
        destroy_global_process_group()


if __name__ == "__main__":
    main()
