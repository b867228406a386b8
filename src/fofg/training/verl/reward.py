"""verl's reward manager, which tells our reward function also whether a response was cut at the token limit."""

from transformers import GenerationConfig
from verl import DataProto
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager


class RewardManager(NaiveRewardManager):
    """As verl's own; a row's ``extra_info`` says ``truncated``, and so does what verl keeps of the reward."""

    def __init__(self, config, tokenizer, compute_score, **others):
        super().__init__(config, tokenizer, compute_score, **others)
        self.limit = config.data.max_response_length
        ends = GenerationConfig.from_pretrained(config.actor_rollout_ref.model.path).eos_token_id
        self.ends = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}

    async def run_single(self, data: DataProto) -> dict:
        row = data[-1:][0]
        responses = row.batch["responses"]
        length = int(row.batch["attention_mask"][-responses.shape[-1] :].sum())
        truncated = length >= self.limit and int(responses[length - 1]) not in self.ends
        row.non_tensor_batch["extra_info"]["truncated"] = truncated
        result = await super().run_single(data)
        result["reward_extra_info"]["truncated"] = float(truncated)
        return result
