"""The random model of benchmarks/large_model.py: responses of the lengths asked for, half of them with an answer; the 8B shape."""

import sys
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from fofg.config import DEFAULT, load, read
from fofg.data.reading import problem_rows
from fofg.tasks.rewards import compute_score

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def benchmarks():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield


def test_responses_have_the_mean_length_and_half_of_them_an_answer(tmp_path):
    import random_model

    random_model.write(tmp_path, "small", mean_tokens=20)
    tokenizer, model = AutoTokenizer.from_pretrained(tmp_path), AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert (len(tokenizer), tokenizer.eos_token_id) == (model.config.vocab_size, model.config.eos_token_id)
    chat = [{"role": "user", "content": "What?"}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    repeated = {name: tensor.repeat(400, 1) for name, tensor in prompt.items()}
    torch.manual_seed(0)
    made = model.generate(**repeated, max_new_tokens=300, do_sample=True, top_k=0, pad_token_id=tokenizer.eos_token_id)
    made = made[:, prompt["input_ids"].shape[1] :]
    lengths = (made != tokenizer.eos_token_id).sum(1) + 1.0
    answers = torch.tensor([random_model.ANSWER in text for text in tokenizer.batch_decode(made)]).float()
    assert abs(lengths.mean() - 20.5) < 4 * 20 / 20  # an answer is followed by the end; the standard error is 20 / sqrt(400)
    assert abs(answers.mean() - 0.5) < 4 * 0.5 / 20


def test_the_large_shape_is_llama_8b():
    import random_model

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(LlamaConfig(**random_model.SHAPES["8b"], tie_word_embeddings=False))
    assert sum(weight.numel() for weight in model.parameters()) == 8_030_261_248


@pytest.mark.parametrize(("options", "steps", "save_every"), [([], 2, 1), (["--kill"], 2, 1), (["--measure-only"], 3, 3)])
def test_only_measuring_ends_before_the_last_step_and_its_checkpoint(options, steps, save_every, tmp_path, monkeypatch):
    import large_model

    monkeypatch.setattr(sys, "argv", ["large_model.py", "rl", "--folder", str(tmp_path), "--gpus", "2", *options])
    changed = large_model.overlay(large_model.arguments(), tmp_path / "m", tmp_path / "run")
    assert changed["stage2"]["rl"]["curricula"]["level2"][0]["steps"] == steps
    assert changed["training"]["rl_save_every"] == changed["training"]["save_every"] == save_every


def test_the_models_answer_is_correct_for_each_problem(tmp_path):
    import large_model
    import random_model

    large_model.write_problems(tmp_path / "problems.jsonl", 20)
    rows = list(problem_rows(tmp_path / "problems.jsonl"))
    assert len(rows) == 20
    for row in rows:
        response, truth = f"text {random_model.ANSWER}", row["reward_model"]["ground_truth"]
        graded = compute_score("string_task", response, truth, scheme="binary", answer_rule="published")
        assert graded["score"] == 1


def test_the_record_of_a_killed_job_may_be_empty(tmp_path):
    import watching

    for name, text in (("train_sft/a.tsv", "s\th:m:s\n2.5\t0:00:02\n"), ("train_sft/b.tsv", ""), ("summarize.tsv", "s\th:m:s\n")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert watching.job_seconds(tmp_path) == {"train_sft": [2.5]}


@pytest.mark.parametrize("stage", ["stage1", "sft", "rl"])
def test_the_configuration_is_that_of_the_paper_but_for_counts(stage, tmp_path, monkeypatch):
    import large_model

    monkeypatch.setattr(sys, "argv", ["large_model.py", stage, "--folder", str(tmp_path), "--gpus", "2", "--steps", "3"])
    (tmp_path / "overlay.yaml").write_text(
        yaml.safe_dump(large_model.overlay(large_model.arguments(), tmp_path / "m", tmp_path / "run"))
    )
    paper, changed = (load(read([DEFAULT, ROOT / "config/paper.yaml", *more])) for more in ([], [tmp_path / "overlay.yaml"]))
    assert changed.stage1.sft == paper.stage1.sft.model_copy(update={"epochs": 1})
    assert changed.training.verl == paper.training.verl
    assert changed.stage2.rl.rollouts == paper.stage2.rl.rollouts
    assert changed.stage2.rl.curricula["level2"][0].steps == 3
    assert changed.stage2.rl.mini_batch_prompts == changed.stage2.rl.prompts_per_step == paper.stage2.rl.prompts_per_step
