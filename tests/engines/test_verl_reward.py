"""Rewards in verl: our reward function, called by verl's own worker on batches of verl's agent loop."""

import asyncio
import json
import sys
import threading
from types import SimpleNamespace

import pytest
import rl_problems
import tiny_model as tiny_models
from hostile_texts import code_as_answers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput, AgentLoopWorker
from verl.experimental.reward_loop import RewardLoopWorker
from verl.trainer.ppo.utils import create_rl_dataset
from verl_configs import rl

from fofg.training.verl import rows

pytestmark = pytest.mark.engines
LIMIT = 200
RIGHT, WRONG, NONE = '{"output": "a"}', '{"output": "b"}', "a"
NO_ANSWER = {"published_code": -1.0, "binary": 0.0}


class Scorer:
    """Score token ids as responses to one problem (Level 2, answer "a"), by verl's own worker and agent loop."""

    def __init__(self, folder, model, scheme="published_code", answer="a"):
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        rows.write_problems(folder / "t.parquet", [rl_problems.problem(7, 2, answer)])
        limits = {"rollouts": {"max_response_tokens": LIMIT, "max_prompt_tokens": 40}}
        self.config = rl(folder, model, limits, scoring={"scheme": scheme})
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        data = create_rl_dataset(self.config.data.train_files, self.config.data, self.tokenizer, None)
        self.row = {"uid": "u", "session_id": 0, "global_steps": 1} | data[0]
        self.worker = RewardLoopWorker(self.config)
        handle = SimpleNamespace(compute_score=SimpleNamespace(remote=self.worker.compute_score))
        self.agents = AgentLoopWorker(self.config, llm_client=None, reward_loop_worker_handles=[handle])
        self.end = self.tokenizer.eos_token_id

    def tokens(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False)

    def __call__(self, tokens):
        """Return (reward, acc, truncated)."""
        prompt = self.tokens(self.row["raw_prompt"][0]["content"])
        made = AgentLoopOutput(
            prompt_ids=prompt, response_ids=tokens, response_mask=[1] * len(tokens), num_turns=2, metrics=AgentLoopMetrics()
        )
        self.loop.run_until_complete(self.agents._compute_score([made], kwargs=self.row))
        details = made.extra_fields["reward_extra_info"]
        assert details.keys() == {"score", "acc", "truncated"} and all(isinstance(value, float) for value in details.values())
        assert made.reward_score == details["score"]
        return details["score"], details["acc"], details["truncated"]


@pytest.fixture(scope="module")
def scorers(tiny_model, tmp_path_factory):
    return {scheme: Scorer(tmp_path_factory.mktemp(scheme), tiny_model, scheme) for scheme in NO_ANSWER}


def of_length(scorer, length, ends):
    """Return a correct answer, padded on the left with spaces to ``length`` tokens."""
    right = [*scorer.tokens(RIGHT), *[scorer.end] * ends]
    return scorer.tokens(" ") * (length - len(right)) + right


#: Tokens of a response -> its reward (None: that of no answer), accuracy, and whether it was truncated.
RESPONSES = {
    "correct": (lambda scorer: [*scorer.tokens(RIGHT), scorer.end], (1.0, 1.0, 0.0)),
    "wrong": (lambda scorer: [*scorer.tokens(WRONG), scorer.end], (0.0, 0.0, 0.0)),
    "no answer": (lambda scorer: [*scorer.tokens(NONE), scorer.end], (None, 0.0, 0.0)),
    "truncated at the limit": (lambda scorer: of_length(scorer, LIMIT, ends=False), (None, 0.0, 1.0)),
    "ends at the limit": (lambda scorer: of_length(scorer, LIMIT, ends=True), (1.0, 1.0, 0.0)),
    "ends before the limit": (lambda scorer: of_length(scorer, LIMIT - 1, ends=True), (1.0, 1.0, 0.0)),
    "an end token before the end": (lambda scorer: [scorer.end, *of_length(scorer, LIMIT - 1, ends=False)], (None, 0.0, 1.0)),
}


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("scheme", NO_ANSWER)
def test_rewards(scorers, scheme, response):
    tokens, (reward, *others) = RESPONSES[response]
    expected = (NO_ANSWER[scheme] if reward is None else reward, *others)
    assert scorers[scheme](tokens(scorers[scheme])) == expected


@pytest.mark.parametrize("several", [True, False], ids=["several end tokens", "no generation settings"])
def test_every_end_token_of_the_model_ends_a_response(tmp_path, several):
    model = tiny_models.make(tmp_path / "model")
    path, start = model / "generation_config.json", AutoTokenizer.from_pretrained(model).convert_tokens_to_ids(tiny_models.START)
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"eos_token_id": [start, settings["eos_token_id"]]})) if several else path.unlink()
    scorer = Scorer(tmp_path, model)
    for end in (start, scorer.end) if several else (scorer.end,):
        assert scorer([*of_length(scorer, LIMIT - 1, ends=False), end]) == (1.0, 1.0, 0.0)
    assert scorer(of_length(scorer, LIMIT, ends=False)) == (-1.0, 0.0, 1.0)


def test_spaces_in_an_answer_are_kept(tmp_path):
    """Also with a tokenizer that cleans up spaces, as Llama's does."""
    model = tiny_models.make(tmp_path / "model")
    settings = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps(settings | {"clean_up_tokenization_spaces": True}))
    scorer = Scorer(tmp_path, model, answer="a , b n't")
    assert scorer.tokenizer.clean_up_tokenization_spaces is True
    assert scorer([*scorer.tokens('{"output": "a , b n\'t"}'), scorer.end]) == (1.0, 1.0, 0.0)
    assert scorer([*scorer.tokens('{"output": "a, bn\'t"}'), scorer.end]) == (0.0, 0.0, 0.0)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_tokens_can_be_scored(scorers, data):
    scorer = scorers["published_code"]
    tokens = data.draw(st.lists(st.integers(0, len(scorer.tokenizer) - 1), max_size=LIMIT))
    reward, correct, truncated = scorer(tokens)
    assert (reward, correct) in {(1.0, 1.0), (0.0, 0.0), (-1.0, 0.0)}
    assert truncated == float(len(tokens) == LIMIT and tokens[-1] != scorer.end)


def test_responses_are_never_executed(scorers):
    scorer, seen, watching = scorers["published_code"], [], [False]
    responses = [[*scorer.tokens(text)[: LIMIT - 1], scorer.end] for text in code_as_answers()]
    scorer(responses[0])  # load what is loaded on first use
    kinds = ("compile", "exec", "import", "open", "os", "subprocess", "marshal", "ctypes", "socket")

    def note(event, arguments):  # of this thread and asyncio's, which score; a library's own may open files meanwhile
        if watching[0] and event.split(".")[0] in kinds and threading.current_thread().name.startswith(("MainThread", "asyncio")):
            seen.append((event, str(arguments)))

    sys.addaudithook(note)  # It can't be removed, and is silent after the test.
    watching[0] = True
    try:
        found = [scorer(response) for response in responses]
        assert seen == []
        compile("1", "", "eval")
        assert [event for event, _ in seen] == ["compile"]
    finally:
        watching[0] = False
    assert {correct for _, correct, _ in found} == {0.0}
