"""Pre-training: tokenizer, library, corpus, batches, and the committed model."""

import hashlib
import json
import pickle
import re
from pathlib import Path
from random import Random

import configs
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fofg import config
from fofg.data import warmup
from fofg.specs import WarmupSpec
from fofg.tasks.strings import expressions, prompts
from fofg.tasks.strings.functions import PUBLIC_NAMES
from fofg.tasks.strings.grading import grade
from fofg.tasks.task import Outcome
from fofg.tiny_base import answers, batches, corpus, library, programs, train
from fofg.tiny_base import tokenizer as tokenizers

ROOT = Path(__file__).parents[2]
BASE = ROOT / "resources/tiny-base"
VALUES = yaml.safe_load((ROOT / "config/default.yaml").read_text(encoding="utf-8"))
SETTINGS = config.load(VALUES)
TEMPLATE = SETTINGS.problems.template
TOKENIZER = tokenizers.build(TEMPLATE)


def conversations(count: int, late: bool, error_rate: float = 0.0) -> list[corpus.Turn]:
    rng = Random(5)
    return [turn for _ in range(count) for turn in corpus.conversation(TEMPLATE, rng, late, error_rate)]


# --- tokenizer ------------------------------------------------------------------------------------------------------


@given(st.text() | st.lists(st.sampled_from(tokenizers.pieces(TEMPLATE) + list(tokenizers.SPECIAL))).map("".join))
def test_any_text_round_trips(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text).ids, skip_special_tokens=False) == text


def test_the_chat_template_gives_the_text_of_pretraining(committed):
    tokenizer, _ = committed
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    shown = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert shown == tokenizers.user_text("a") + tokenizers.answer_text("b") + tokenizers.user_text("c")


# --- library --------------------------------------------------------------------------------------------------------


def _behavior(function: str) -> tuple:
    inputs = ["abcdef", "zeal a", "Aab-b1", "ooxyz", "hannah"]
    declared = library.ALL[function]
    parameter = [{int: 2, str: "qr"}[declared.parameter.type]] if declared.parameter else []
    return tuple(declared.function(*pair[: declared.operands], *parameter) for pair in zip(inputs, inputs[::-1]))


def test_the_other_20_functions_differ_from_each_other_and_from_the_25():
    seen = {_behavior(function) for function in library.PAPER}
    for function in library.OTHERS:
        assert _behavior(function) not in seen, function
        seen.add(_behavior(function))
    assert len(library.OTHERS) == 20
    assert sorted(library.NAMES.values(), key=lambda name: int(name[5:])) == [f"func_{i}" for i in range(45)]


@pytest.mark.parametrize("function", library.ALL)
def test_a_shown_definition_is_the_function(function):
    scope = {}
    exec(corpus.definition(function, "func_7"), scope)
    declared = library.ALL[function]
    arguments = ["abcde"] * declared.operands + ([declared.parameter.draw(Random(1))] if declared.parameter else [])
    assert scope["func_7"](*arguments) == declared.function(*arguments)


# --- programs and answers -------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32), st.integers(1, 6))
@settings(max_examples=200)
def test_programs_of_the_25_functions_are_expressions(seed, steps):
    rng = Random(seed)
    x = programs.random_input(rng)
    program = programs.random_program(rng, list(library.PAPER), steps, x)
    expected = expressions.evaluate(expressions.parse(expressions.text(program)), x)
    response = answers.answer(program, x, PUBLIC_NAMES, rng)
    assert grade(response, expected) is Outcome.CORRECT
    assert response.count("\n") == len(list(programs.operators(program)))


# --- corpus ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True])
def test_the_25_are_never_seen_without_their_definitions(late):
    hidden = 0
    others = {library.NAMES[name] for name in library.OTHERS}
    for turn in conversations(3000, late, error_rate=0.3):
        shown, expression = turn.prompt.split("def main_solution(x):\n    return ")
        expression = expression.split("\n")[0]
        called = set(re.findall(r"func_\d+", expression))
        defined = set(re.findall(r"def (func_\d+)\(", shown))
        if defined != called:
            assert not defined and called <= others, turn.prompt
            hidden += 1
    assert (hidden > 1000) if late else (hidden == 0)


@pytest.mark.parametrize("skills", ["others", "all"])
def test_worked_examples_are_right_and_never_compose_the_papers_functions(skills, tmp_path):
    """Those of the warm-up: each shows the functions that it uses; several steps are of functions that no problem has."""
    spec = WarmupSpec(examples=600, test_rows=20, skills=skills, levels=(1, 2), seed=1, task="string_task", template=TEMPLATE)
    paths = [tmp_path / f"{name}.parquet" for name in ("train", "test", "train2", "test2")]
    warmup.write(spec, *paths[:2])
    warmup.write(spec, *paths[2:])
    train, test, *again = (pq.read_table(path).to_pylist() for path in paths)
    assert [train, test] == again and (len(train), len(test)) == (600, 20)
    sources = {library.body(name): name for name in library.ALL}
    single: set[str] = set()
    several: set[str] = set()
    for row in train + test:
        prompt, response = row["prompt"][0]["content"], row["response"]
        *lines, conclusion = response.splitlines()
        output = json.loads(conclusion)["output"]
        assert grade(response, output) == Outcome.CORRECT and lines[-1].endswith(f"-> {answers.quote(output)}")
        definitions = re.findall(r"^def (func_\d+)(.*?)\n\n", prompt.partition("def main_solution")[0], re.DOTALL | re.MULTILINE)
        assert {name for line in lines for name in re.findall(r"^func_\d+", line)} <= {name for name, _ in definitions}
        (single if len(lines) == 1 else several).update(sources[body] for _, body in definitions)
    assert several == set(library.OTHERS)
    assert bool(single - set(library.OTHERS)) == (skills == "all")


@pytest.mark.parametrize("nested_calls", ["others", "none"])
@pytest.mark.parametrize("late", [False, True])
def test_the_25_are_composed_only_where_nested_calls_are_of_all_functions(nested_calls, late):
    sources = {library.body(name): name for name in library.ALL}
    rng, single, nested = Random(3), set(), set()
    for _ in range(1500):
        for turn in corpus.conversation(TEMPLATE, rng, late, 0.3, nested_calls):
            shown, expression = turn.prompt.split("def main_solution(x):\n    return ")
            definitions = dict(re.findall(r"^def (func_\d+)(.*?)\n\n", shown, re.DOTALL | re.MULTILINE))
            operations = re.findall(r"func_\d+| \+ |\.[a-z]+\(", expression.split("\n")[0])
            public = {name: readable for readable, name in library.NAMES.items()}
            used = {sources[definitions[name]] if definitions else public[name] for name in operations if "func" in name}
            (nested if len(operations) > 1 else single).update(used)
    assert single == set(library.ALL)
    assert nested == (set(library.OTHERS) if nested_calls == "others" else set())


def test_the_corpus_is_the_one_that_the_committed_model_read():
    drawn = [conversations(100, late, 0.3) for late in (False, True)]
    assert hashlib.sha256(repr(drawn).encode()).hexdigest().startswith("5585faefa3173840")


def test_prompts_are_those_of_the_experiment():
    """With public names, a prompt of pre-training equals the prompt of the same problem."""
    for seed in range(50):
        rng = Random(seed)
        x = programs.random_input(rng)
        program = programs.random_program(rng, list(library.PAPER), 2, x)
        used = {node.operator for node in expressions.nodes(program) if isinstance(node, expressions.Operation)}
        names = tuple(name for name in library.PAPER if name in used)
        shown = "".join(corpus.definition(name, PUBLIC_NAMES[name]) for name in names)
        prompt = prompts.prompt_text(TEMPLATE.replace("{code}", shown + "{code}"), expressions.text(program), x)
        assert prompt == prompts.prompt_text(TEMPLATE, expressions.text(program), x, names)


# --- batches --------------------------------------------------------------------------------------------------------


def make_batches(**changes) -> batches.Batches:
    return batches.Batches(TOKENIZER.to_str(), TEMPLATE, configs.tiny_base(**{"tokens_per_step": 4096, **changes}))


def test_a_batch_depends_on_seed_and_step_alone():
    used, fresh = make_batches(), pickle.loads(pickle.dumps(make_batches()))
    used[0], used[1]
    for first, second in zip(used[9], fresh[9]):
        np.testing.assert_array_equal(first, second)
    assert any((first != second).any() for first, second in zip(used[9], used[8]))
    assert any((first != second).any() for first, second in zip(used[9], make_batches(seed=2)[9]))


@pytest.mark.parametrize("step", [0, 9])
def test_labels_are_the_answers_of_the_documents(step):
    batch = make_batches()[step]
    assert (batch.documents > 0).mean() > 0.9
    for tokens, labels, positions, documents in zip(*batch):
        for document in range(1, documents.max() + 1):
            inside = np.flatnonzero(documents == document)
            assert (positions[inside] == range(len(inside))).all()
            text = TOKENIZER.decode(tokens[inside], skip_special_tokens=False)
            learned = TOKENIZER.decode([t for t in labels[inside] if t != batches.IGNORED], skip_special_tokens=False)
            assert learned == "".join(re.findall(r"<\|assistant\|>(.*?<\|end\|>)", text, flags=re.DOTALL))


def test_documents_of_a_row_do_not_see_each_other():
    model = train.new_model(configs.tiny_base(), TOKENIZER.get_vocab_size(), 1, 2)
    batch = [torch.from_numpy(array).long()[:1] for array in make_batches()[0]]
    tokens, labels, positions, documents = batch
    labels[documents != 2] = batches.IGNORED
    loss = train._loss(model, tokens, labels, positions, documents)
    others = torch.where(documents == 2, tokens, 5)
    assert torch.equal(loss, train._loss(model, others, labels, positions, documents))
    tokens[0, (documents == 2).nonzero()[1, 1]] = 5
    assert not torch.equal(loss, train._loss(model, tokens, labels, positions, documents))


# --- the committed model --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def committed():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoTokenizer.from_pretrained(BASE), AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)


def test_the_committed_model_has_the_default_configuration():
    record = json.loads((BASE / "spec.json").read_text(encoding="utf-8"))
    assert record["tiny_base"] == SETTINGS.tiny_base.model_dump(mode="json")
    assert record["template"] == SETTINGS.problems.template


@pytest.mark.parametrize("folder", sorted((ROOT / "resources").iterdir()), ids=lambda folder: folder.name)
def test_an_embedded_model_has_the_tokenizer_of_its_settings(folder, tmp_path, monkeypatch):
    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    countdown = config.TinyBase.model_validate(spec["tiny_base"]).countdown
    tokenizer = tokenizers.build(spec["template"], countdown.template if countdown else None)
    assert tokenizer.to_str(pretty=True) + "\n" == (folder / "tokenizer.json").read_text(encoding="utf-8")
    assert (folder / "chat_template.jinja").read_text(encoding="utf-8") == tokenizers.CHAT_TEMPLATE
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"] == tokenizer.get_vocab_size()
    monkeypatch.chdir(tmp_path)
    assert config.load({**VALUES, "base_model": f"resources/{folder.name}"}).base_model == str(folder)


def test_the_embedded_models_are_small():
    assert sum(path.stat().st_size for path in (ROOT / "resources").rglob("*")) < 15 * 2**20


def test_the_committed_model_fits_its_tokenizer(committed):
    tokenizer, model = committed
    assert model.get_input_embeddings().num_embeddings == len(tokenizer) == TOKENIZER.get_vocab_size()
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|end|>")


def test_the_committed_model_reads_visible_definitions(committed):
    """Greedily, under a name that is not the function's own."""
    tokenizer, model = committed
    code = corpus.definition("mirror_str", "func_30")
    prompt = prompts.prompt_text(TEMPLATE.replace("{code}", code + "{code}"), "func_30(x)", "abcd")
    tokens = tokenizer(tokenizers.user_text(prompt), return_tensors="pt", add_special_tokens=False)
    output = model.generate(**tokens, max_new_tokens=60, do_sample=False)[0, tokens.input_ids.shape[1] :]
    assert grade(tokenizer.decode(output, skip_special_tokens=True), "abcddcba") is Outcome.CORRECT
