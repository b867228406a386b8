"""verl's reward manager, extended to tell the reward function whether a response was cut at the token limit."""

from pathlib import Path

from verl import DataProto
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

from fofg.models import end_tokens


class RewardManager(NaiveRewardManager):
    """verl's manager, which adds ``truncated`` to a row's ``extra_info`` and to what verl keeps of the reward.

    Texts are decoded as by fofg's own engines (fofg.rollouts.decoding.response_text): spaces stay as they are.
    """

    def __init__(self, config, tokenizer, compute_score, **others):
        super().__init__(config, tokenizer, compute_score, **others)
        tokenizer.clean_up_tokenization_spaces = False
        self.limit = config.data.max_response_length
        self.ends = end_tokens(Path(config.actor_rollout_ref.model.path), tokenizer)

    async def run_single(self, data: DataProto) -> dict:
        row = data[-1:][0]
        responses = row.batch["responses"]
        length = int(row.batch["attention_mask"][len(row.batch["prompts"]) :].sum())
        truncated = length >= self.limit and int(responses[length - 1]) not in self.ends
        row.non_tensor_batch["extra_info"]["truncated"] = truncated
        result = await super().run_single(data)
        result["reward_extra_info"]["truncated"] = float(truncated)
        return result
