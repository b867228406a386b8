"""verl's trainer of fine-tuning, started as verl's own is; asked to stop, it saves after the step that it is in and ends.

It is asked by a file in the run's folder (fofg.training.verl.stops), or by a signal to any of its processes.
"""

# ruff: noqa: E402 - signals and environment first

from pathlib import Path

from fofg.runtime import gpus
from fofg.runtime.processes import die_with_parent
from fofg.runtime.signals import TIME_LIMIT, Stop, record_time_limit, stop_reason, stoppable

record_time_limit()  # on several nodes the signal reaches this process alone, which loads its libraries for a while
gpus.hide_rocm_names()

import hydra
import torch
from verl.trainer.sft_trainer import SFTTrainer
from verl.utils.device import auto_set_device
from verl.utils.distributed import destroy_global_process_group, initialize_global_process_group

from fofg.data.files import write_text
from fofg.training.verl.checkpoints import stop_message
from fofg.training.verl.names import STOP, TOLD


class Ended(Exception):
    """The run has saved what it has, and ends before its last step; says why."""


class Trainer(SFTTrainer):
    """verl's, whose checkpoints, metrics and validation are as without a stop."""

    def __init__(self, config, stop: Stop):
        self.stop, self.stop_file = stop, Path(config.trainer.default_local_dir) / STOP
        self.trained, self.saves = 0, False
        super().__init__(config)

    def _build_engine(self) -> None:
        super()._build_engine()
        self._train_batch, self.training_client.train_batch = self.training_client.train_batch, self._train

    def _train(self, data):
        """A step. Behind it verl looks at ``save_freq``. Raises Ended in place of a step for which nothing is unsaved."""
        if self.saves or (not self.trained and self._asked()):
            reason = self.stop.reason or stop_reason(self.stop_file) or TIME_LIMIT
            raise Ended(stop_message(reason, self.resume_global_step + self.trained, self.total_training_steps))
        output = self._train_batch(data=data)
        self.trained += 1
        if self._asked():
            self.saves, self.save_freq = True, 1
        return output

    def _asked(self) -> bool:
        """Whether any process has heard of a wish to stop: all give the same answer, since all have to save."""
        heard = self.stop.is_set() or (self.rank == 0 and bool(stop_reason(self.stop_file)))
        votes = torch.tensor(int(heard), device=self.device_name)
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
        except Ended as ended:
            if trainer.rank == 0:
                print(ended, flush=True)
                write_text(Path(config.trainer.default_local_dir) / TOLD, str(ended))
        destroy_global_process_group()


if __name__ == "__main__":
    main()
