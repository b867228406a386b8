"""Countdown in pre-training: worked answers, their place in the batches, and their tokens."""

import re
from collections import Counter
from pathlib import Path
from random import Random

import configs
import problem_sets
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fofg.config.countdown import CountdownShare
from fofg.data import warmup
from fofg.specs import WarmupSpec
from fofg.tasks.countdown import expressions, sampler
from fofg.tasks.countdown.grading import CORRECT, WRONG_VALUE, Goal, classify
from fofg.tasks.countdown.prompts import prompt_text
from fofg.tiny_base import arithmetic, batches, corpus
from fofg.tiny_base import tokenizer as tokenizers

TEMPLATE = problem_sets.DEFAULT.problems.template
COUNTDOWN = problem_sets.DEFAULT.countdown.template
TOKENIZER = tokenizers.build(TEMPLATE, COUNTDOWN)


@pytest.fixture(scope="module")
def committed():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(__file__).parents[2] / "resources/tiny-base-countdown"
    return AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)


def goal_of(prompt: str) -> Goal:
    before, between, after = map(re.escape, re.split(r"{numbers}|{target}", COUNTDOWN))
    numbers, target = re.fullmatch(f"{before}(.+){between}(.+){after}", prompt).groups()
    return Goal(int(target), tuple(map(int, numbers.split(", "))))


def drawn(late: bool, error_rate: float) -> list[tuple[Goal, str]]:
    rng = Random(5)
    turns = [turn for _ in range(1500) for turn in arithmetic.conversation(COUNTDOWN, rng, late, error_rate)]
    return [(goal_of(turn.prompt), turn.response) for turn in turns]


def shares(turns: list[tuple[Goal, str]]) -> dict[int, float]:
    """Number of integers -> share of right answers."""
    counts, right = Counter(), Counter()
    for goal, response in turns:
        counts[len(goal.numbers)] += 1
        right[len(goal.numbers)] += classify(goal, response, False, "published") == CORRECT
    return {level: right[level] / counts[level] for level in counts}


def test_composition_is_in_the_corpus_but_late_it_is_rare():
    early, late = shares(drawn(False, 0.35)), shares(drawn(True, 0.35))
    assert early[2] == 1 and min(early.values()) > 0.5
    assert 0.3 < late[2] < 0.8 and 0.05 < late[3] < 0.25 and late[5] < late[4] < late[3]


@pytest.mark.parametrize("late", [False, True])
def test_without_slips_every_line_is_true_and_no_problem_is_of_a_test_split(late):
    for goal, response in drawn(late, 0.0):
        assert sampler.side(goal) != 0
        *lines, answer = response.splitlines()
        for line in lines:
            step, result, rest = re.fullmatch(r"(\d+ [-+*/] \d+) = (\d+) (yes|no|left .+)", line).groups()
            assert expressions.value(expressions.read(step)) == int(result)
            assert rest.startswith("left") or (rest == "yes") == (int(result) == goal.target)
        if lines and lines[-1].endswith("yes") and len(expressions.integers(expressions.read(answer[8:-9]))) == len(goal.numbers):
            assert classify(goal, response, False, "published") == CORRECT


def test_worked_examples_of_the_warm_up(tmp_path):
    spec = WarmupSpec(examples=300, test_rows=30, skills="others", levels=(1, 3), seed=1, task="countdown", template=COUNTDOWN)
    paths = [tmp_path / "train.parquet", tmp_path / "test.parquet"]
    warmup.write(spec, *paths)
    sides = []
    for path in paths:
        rows = pq.read_table(path).to_pylist()
        goals = [goal_of(row["prompt"][0]["content"]) for row in rows]
        assert all(classify(goal, row["response"], False, "published") == CORRECT for goal, row in zip(goals, rows))
        assert {len(goal.numbers) for goal in goals} == {2, 3}
        sides.append({sampler.side(goal) for goal in goals})
    assert 0 not in sides[0] and sides[1] == {1} and not sides[0] & sides[1]


@given(st.lists(st.sampled_from([*tokenizers.pieces(TEMPLATE, COUNTDOWN), *"0123456789()"])).map("".join) | st.text())
@settings(max_examples=50)
def test_any_text_round_trips(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text).ids, skip_special_tokens=False) == text


def test_digits_are_single_tokens_and_wording_is_few():
    turn = corpus.Turn(
        COUNTDOWN.replace("{numbers}", "44, 9").replace("{target}", "53"), "44 + 9 = 53 yes\n<answer>44 + 9</answer>"
    )
    assert TOKENIZER.encode(turn.prompt).tokens[1:4] == ["4", "4", ", "] and len(TOKENIZER.encode(turn.prompt)) == 9
    assert len(TOKENIZER.encode(turn.response)) == 14


def test_strings_are_as_many_tokens_as_without_countdown():
    """So the string half of the model sees what the model without Countdown does."""
    plain, rng = tokenizers.build(TEMPLATE), Random(3)
    for turn in (turn for _ in range(300) for turn in corpus.conversation(TEMPLATE, rng, True, 0.3)):
        text = tokenizers.user_text(turn.prompt) + tokenizers.answer_text(turn.response)
        assert len(plain.encode(text)) == len(TOKENIZER.encode(text))


def test_batches_hold_the_configured_share():
    share = CountdownShare(share=0.4, template=COUNTDOWN)
    made = batches.Batches(TOKENIZER.to_str(), TEMPLATE, configs.tiny_base(tokens_per_step=32768, countdown=share))
    tokens = made[9].tokens
    documents = TOKENIZER.decode(tokens.flatten().tolist(), skip_special_tokens=False)
    countdown, strings = documents.count(COUNTDOWN.split("{")[0]), documents.count(TEMPLATE.split("{")[0])
    assert 0.3 < countdown / (countdown + strings) < 0.5


def test_slips_make_wrong_values():
    wrong = Counter(classify(goal, text, False, "published") for goal, text in drawn(True, 0.35) if len(goal.numbers) == 2)
    assert wrong[WRONG_VALUE] > wrong.total() / 5


@pytest.mark.parametrize(("target", "numbers"), [(13, (18, 5)), (44, (39, 5)), (105, (46, 59)), (37, (60, 23))])
def test_the_committed_model_calculates(committed, target, numbers):
    """Greedily, a problem of the test side, which it was never trained on."""
    tokenizer, model = committed
    goal = Goal(target, numbers)
    assert sampler.side(goal) == 0
    tokens = tokenizer(tokenizers.user_text(prompt_text(COUNTDOWN, goal)), return_tensors="pt", add_special_tokens=False)
    output = model.generate(**tokens, max_new_tokens=80, do_sample=False)[0, tokens.input_ids.shape[1] :]
    assert classify(goal, tokenizer.decode(output, skip_special_tokens=True), False, "published") == CORRECT
