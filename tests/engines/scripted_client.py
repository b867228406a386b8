"""A language model server's client whose responses stand in its prompts, for verl's own rollouts on a machine without a GPU."""

import asyncio
import re
from collections import Counter

from transformers import AutoTokenizer
from verl.workers.rollout.replica import TokenOutput

#: What the responses of a problem's samples are: a letter of its prompt each.
RESPONSES = {"R": '{"output": "a"}', "W": '{"output": "b"}', "N": "a"}


class ScriptedClient:
    """In place of LLMServerClient: the prompt's ``script: RWNC`` says what its first, second ... response is.

    R: right, W: wrong, N: no answer, each with the end token; E: right and as long as responses may be, its end token included;
    C: the same without an end token, cut at ``limit`` tokens; F: the server fails.
    """

    def __init__(self, model: str, limit: int):
        self.model, self.limit = model, limit
        self.tokenizer, self.asked = None, Counter()

    async def generate(self, request_id, *, prompt_ids, sampling_params, **others) -> TokenOutput:
        if self.tokenizer is None:
            self.tokenizer = AutoTokenizer.from_pretrained(self.model)
        prompt = self.tokenizer.decode(prompt_ids)
        script = re.search(r"script: (\w+)", prompt)[1]
        kind = script[self.asked[prompt] % len(script)]
        self.asked[prompt] += 1
        await asyncio.sleep(0.01 * (len(script) % 3))  # so that prompts do not finish in the order in which they are asked
        if kind == "F":
            raise RuntimeError("the server is gone")
        return TokenOutput(
            token_ids=self._tokens(kind), log_probs=None, extra_fields={"min_global_steps": 1, "max_global_steps": 1}
        )

    def _tokens(self, kind: str) -> list[int]:
        end = [self.tokenizer.eos_token_id]
        if kind in RESPONSES:
            return self.tokenizer.encode(RESPONSES[kind]) + end
        right = self.tokenizer.encode(RESPONSES["R"])
        if kind == "E":
            return self.tokenizer.encode(" ") * (self.limit - len(right) - 1) + right + end
        return self.tokenizer.encode(" ") * (self.limit - len(right)) + right
