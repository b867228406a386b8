"""Dynamic sampling (paper §4.1) for verl's synchronous trainer, capped at ``max_generation_batches``."""

import json
import threading
import time
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import transfer_queue as tq
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from fofg.data.files import write_text
from fofg.rollouts.decoding import response_text
from fofg.runtime.signals import stop_reason
from fofg.training import kept
from fofg.training.groups import TOO_FEW
from fofg.training.run import stop_error
from fofg.training.saving import SaveBudget
from fofg.training.verl.protocol import PREFIX, last_step

_POLL_SECONDS = 0.5
#: Why a step without groups ends a run, and what to do.
NO_GROUPS = (
    "so there is nothing to train on; raise stage2.rl's max_generation_batches or generation_prompts, take problems that are "
    "sometimes solved, or raise its temperature"
)


class Groups(ReplayBuffer):
    """Replay buffer that fills a step with groups whose rewards differ (``trainer.v1.sampler.custom_sampler``).

    verl's own would draw forever if all rewards were equal. ``sampler_kwargs``: ``filter_groups`` (false: keep all groups of one
    batch), ``generation_prompts``, ``max_generation_batches`` and ``on_incomplete_step`` of stage2.rl, ``max_save_share`` of
    training, and files: ``error`` for the message that ends a run; ``drawn`` for the metrics of each step's groups, since
    verl saves a checkpoint before it writes its own; ``stop``, which others create to have the run save after the current step and
    exit; ``kept`` for the rollouts of the first ``keep_rollouts`` problems of each step (fofg.training.kept).
    """

    #: Makes verl save once a stop is requested; from the first step on.
    watch: threading.Thread | None = None

    def sample(self, global_steps: int, partition_id: str, batch_size: int):
        """Return (groups to train on or to validate with, metrics).

        If the last batch leaves fewer than ``batch_size`` groups, the step trains on those. Raises RuntimeError if there are none,
        if there are too few for ``on_incomplete_step: error``, or if a stop was requested and nothing is unsaved.
        """
        self._check_stop(global_steps, partition_id)
        if partition_id == "val":
            return super().sample(global_steps, partition_id, batch_size)
        config = self.sampler_kwargs
        size = config.generation_prompts if config.filter_groups else batch_size
        batches = -(-batch_size // size)  # fewer could not fill the step
        if more := batches * size - batch_size:  # the trainer has requested batch_size prompts already
            self.refill_fn(more)
        while len(groups := self._with_signal(partition_id)) < batch_size and batches < config.max_generation_batches:
            self.refill_fn(size)
            batches += 1
        record = self._record(partition_id, groups, batches) | {"limit_reached": int(len(groups) < batch_size)}
        metrics = {PREFIX + name: value for name, value in record.items()}
        with open(config.drawn, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": global_steps, "data": metrics}) + "\n")
        if config.keep_rollouts:
            kept.keep(Path(config.kept), global_steps, self._rollouts(partition_id, config.keep_rollouts))
        if not groups:
            self._fail(global_steps, record, NO_GROUPS)
        if len(groups) < batch_size and config.on_incomplete_step == "error":
            self._fail(global_steps, record, TOO_FEW.format(batch_size))
        chosen = groups[:batch_size]
        drawn = set(self.finished_keys[partition_id] | self.failure_keys[partition_id])
        snapshot = dict(self.partitions[partition_id])
        self._clear_groups(partition_id, drawn - set(chosen))
        return self._materialize_batch(partition_id, chosen, snapshot), metrics

    def _check_stop(self, step: int, partition_id: str) -> None:
        """Raise RuntimeError if a stop was requested and nothing is unsaved; otherwise verl saves after this step."""
        trainer, file = self.refill_fn.__self__, Path(self.sampler_kwargs.stop)
        saved = last_step(Path(trainer.config.trainer.default_local_dir))
        unsaved = self.watch and (partition_id == "val" or saved < step - 1)
        if (reason := stop_reason(file)) and not unsaved:
            message = str(stop_error(reason, saved, trainer.total_training_steps))
            write_text(Path(self.sampler_kwargs.error), message)
            raise RuntimeError(message)
        if not self.watch and partition_id != "val":
            _limit_saves(trainer, self.sampler_kwargs.max_save_share, file)
            self.watch = threading.Thread(target=_save_on_request, args=(trainer.config, file), daemon=True)
            self.watch.start()

    def _with_signal(self, partition_id: str) -> list[str]:
        """Wait for all prompts in progress, and return the groups to train on, in drawing order."""
        while True:
            self._sync_metadata_from_transfer_queue()
            if not (self.pending_keys[partition_id] or self.running_keys[partition_id]):
                break
            time.sleep(_POLL_SECONDS)
        if failed := self.failure_keys[partition_id]:
            raise RuntimeError(f"{len(failed)} prompts got no responses; the log says why")
        keys = [key for key in self.partitions[partition_id] if key.split("_")[0] in self.finished_keys[partition_id]]
        data = tq.kv_batch_get(keys=keys, partition_id=partition_id, select_fields=["rm_scores", "extra_fields", "data_source"])
        self.responses = defaultdict(list)
        for key, scores, extra, source in zip(keys, data["rm_scores"], data["extra_fields"], data["data_source"], strict=True):
            reward = getattr(extra, "data", extra)["reward_extra_info"]
            length = self.partitions[partition_id][key]["response_len"]
            level = str(getattr(source, "data", source)).rpartition("/level")[2]
            self.responses[key.split("_")[0]].append((float(scores.sum()), reward["acc"], reward["truncated"], length, level))
        drawn = self.prompt_global_steps[partition_id]  # TransferQueue lists keys as they came
        if not self.sampler_kwargs.filter_groups:
            return list(drawn)
        return [uid for uid in drawn if len({reward for reward, *_ in self.responses[uid]}) > 1]

    def _record(self, partition_id: str, groups: list[str], batches: int) -> dict[str, float]:
        """Average over all responses that were drawn, and count groups and batches."""
        rewards, correct, truncated, lengths, levels = zip(*(row for group in self.responses.values() for row in group))
        by_level = {
            f"accuracy_level{level}": fmean(value for value, its_level in zip(correct, levels) if its_level == level)
            for level in sorted(set(levels))
        }
        return {
            "reward": fmean(rewards),
            "accuracy": fmean(correct),
            **by_level,
            "response_length": fmean(lengths),
            "truncated": fmean(truncated),
            "groups": len(self.responses),
            "groups_kept": len(groups),
            "generation_batches": batches,
        }

    def _rollouts(self, partition_id: str, problems: int) -> list[dict]:
        """Return the first problems that were drawn as rows (fofg.data.schemas.ROLLOUTS)."""
        tokenizer = self.refill_fn.__self__.tokenizer
        fields = ["responses", "extra_fields", "raw_prompt", "data_source", "ability", "reward_model", "extra_info"]
        rows = []
        for uid in list(self.prompt_global_steps[partition_id])[:problems]:
            keys = [key for key in self.partitions[partition_id] if key.split("_")[0] == uid]
            data = tq.kv_batch_get(keys=keys, partition_id=partition_id, select_fields=fields)
            responses, extra, *problem = ([getattr(value, "data", value) for value in data[name]] for name in fields)
            prompt, source, ability, truth, info = (values[0] for values in problem)
            row = {
                "data_source": source.rpartition("/level")[0],
                "prompt": list(prompt),
                "ability": ability,
                "reward_model": truth,
                "extra_info": {name: value for name, value in info.items() if name != "truncated"},
                "responses": [response_text(tokenizer, tokens) for tokens in responses],
                "finish_reasons": ["length" if each["reward_extra_info"]["truncated"] else "stop" for each in extra],
                "token_counts": [len(tokens) for tokens in responses],
            }
            rows.append(row)
        return rows

    def _fail(self, step: int, record: dict[str, float], reason: str) -> None:
        groups = f"{record['groups_kept'] or 'none'} of {record['groups']} groups"
        message = f"step {step}: rewards differ in {groups} (mean reward {record['reward']:.2f})"
        write_text(Path(self.sampler_kwargs.error), f"{message}, {reason}")
        raise RuntimeError(message)


def _limit_saves(trainer, max_share: float, stop: Path) -> None:
    """Make verl's trainer skip a checkpoint that takes too much of the time, but none for a stop or at the end."""
    budget, save = SaveBudget(max_share), trainer._save_checkpoint

    def save_if_allowed() -> None:
        if budget.allows() or trainer.global_steps >= trainer.total_training_steps or stop_reason(stop):
            with budget.spend():
                save()

    trainer._save_checkpoint = save_if_allowed


def _save_on_request(config, file: Path) -> None:
    """Wait for a stop request, then make verl save after each step. verl reads this key at the end of a step."""
    while not stop_reason(file):
        time.sleep(_POLL_SECONDS)
    config.trainer.save_freq = 1
