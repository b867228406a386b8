"""The default run of Stage 1: it gives a better model, which loads with the Auto classes."""

import csv

import pytest
from checkouts import make_checkout, snakemake

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stage1(tmp_path_factory):
    folder = make_checkout(tmp_path_factory.mktemp("default") / "fofg").folder
    done = snakemake("stage1_rft", "--cores", "all", folder=folder)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return folder


def test_stage_1_learns_the_hidden_functions(stage1):
    with open(stage1 / "results/stage1_accuracy.csv", newline="") as file:
        accuracy = {(row["model"], row["definitions"]): row for row in csv.DictReader(file)}
    before, after = accuracy["base", "hidden"], accuracy["stage1-rft", "hidden"]
    assert float(after["low"]) > float(before["high"]) + 0.5
    assert 0.3 <= float(accuracy["base", "visible"]["accuracy"]) <= 0.8


def test_the_model_loads_unchanged_with_the_auto_classes(stage1):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = stage1 / "checkpoints/string-task/stage1-rft"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    prompt = [{"role": "user", "content": "Hello"}]
    ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    assert model.generate(ids, max_new_tokens=4).shape[1] > ids.shape[1]
    assert model.config.vocab_size == len(tokenizer)
