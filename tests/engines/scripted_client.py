"""A client of a language model server that reads its responses from the prompts, for verl's rollouts without a GPU."""

import asyncio
import re
from collections import Counter

from transformers import AutoTokenizer
from verl.workers.rollout.replica import TokenOutput

#: Letter of a script -> response.
RESPONSES = {"R": '{"output": "a"}', "W": '{"output": "b"}', "N": "a", "S": 'func_0 {"output": "a"}'}


class ScriptedClient:
    """Stand in for LLMServerClient: in a prompt, ``script: RWNC`` gives its first, second ... response.

    R: correct, W: wrong, N: no answer, each with the end token; E: correct, with the end token as its last of ``limit`` tokens;
    C: correct, but truncated at ``limit`` tokens without an end token; S: correct, with a word of one token spelled in letters;
    F: the server fails.
    """

    def __init__(self, model: str, limit: int):
        self.model, self.limit = model, limit
        self.tokenizer, self.requests = None, Counter()

    async def generate(self, request_id, *, prompt_ids, sampling_params, **others) -> TokenOutput:
        if self.tokenizer is None:
            self.tokenizer = AutoTokenizer.from_pretrained(self.model)
        prompt = self.tokenizer.decode(prompt_ids)
        script = re.search(r"script: (\w+)", prompt)[1]
        kind = script[self.requests[prompt] % len(script)]
        self.requests[prompt] += 1
        await asyncio.sleep(0.01 * (len(script) % 3))  # prompts finish in another order than they were requested
        if kind == "F":
            raise RuntimeError("the server is gone")
        return TokenOutput(
            token_ids=self._tokens(kind), log_probs=None, extra_fields={"min_global_steps": 1, "max_global_steps": 1}
        )

    def _tokens(self, kind: str) -> list[int]:
        end = [self.tokenizer.eos_token_id]
        if kind == "S":
            return spelled(self.tokenizer) + end
        if kind in RESPONSES:
            return self.tokenizer.encode(RESPONSES[kind]) + end
        right = self.tokenizer.encode(RESPONSES["R"])
        if kind == "E":
            return self.tokenizer.encode(" ") * (self.limit - len(right) - 1) + right + end
        return self.tokenizer.encode(" ") * (self.limit - len(right)) + right


def spelled(tokenizer) -> list[int]:
    """Return the tokens of response S, which are not those of its text."""
    return tokenizer.convert_tokens_to_ids(list(RESPONSES["S"]))
