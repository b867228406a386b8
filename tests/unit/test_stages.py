"""Specs: a stage depends on what decides its result, and on nothing that changes speed alone."""

import json
from pathlib import Path

import pytest

from fofg import stages
from fofg.config import Config, load, read
from fofg.config.loading import merge
from fofg.stages import GenerateRollouts, TrainRl, TrainSft

CONFIG = Path(__file__).parents[2] / "config"
#: Builders of the specs of stages that engines work for, and of those that score.
SPECS = {
    "stage1 rollouts": lambda config: stages.generate_rollouts(config, 0, config.datasets["stage1_level1"].train),
    "stage1 sft": stages.train_stage1,
    "iteration's sft": stages.train_iteration,
    "rl": lambda config: stages.train_rl(config, "level2"),
    "stage1 selection": stages.select_stage1_data,
    "iteration's selection": stages.select_iteration_data,
    "scores": stages.score_rollouts,
    "pass@k": stages.count_passk,
    "failures": stages.classify_failures,
}


def config(*changes, overlay="gpu-tiny.yaml") -> Config:
    values = read([CONFIG / "default.yaml", CONFIG / overlay])
    for change in changes:
        merge(values, change)
    return load(values)


def texts(*changes):
    made = config(*changes)
    return {name: build(made).text() for name, build in SPECS.items()}


@pytest.mark.parametrize(
    "change",
    [
        {"training": {"gpus": 8}},
        {"training": {"nodes": 2}},
        {"training": {"threads": 3, "stage2_threads": 3, "save_every": 7, "rl_save_every": 7, "log_every": 7}},
        {"training": {"verl": {"tokens_per_gpu": 9999, "offload": True, "attention": "sdpa"}}},
        {"training": {"gpus": 2, "verl": {"tensor_parallel_size": 2, "gpu_memory_utilization": 0.5, "enforce_eager": False}}},
        {"rollout_engine": {"gpus": 4, "jobs_per_gpu": 1, "batch_size": 7, "threads": 7}},
        {"rollout_engine": {"options": {"enforce_eager": False, "max_num_batched_tokens": 999}}},
        {"stage2": {"rl": {"curricula": {"other": [{"steps": 1, "mixture": {"stage2_level1": 1}}]}}}},
    ],
)
def test_what_changes_speed_alone_is_in_no_spec(change):
    assert texts(change) == texts()


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"stage1": {"sft": {"engine": "torch"}}}, {"stage1 sft"}),
        ({"stage2": {"rft": {"sft": {"engine": "torch"}}}}, {"iteration's sft"}),
        ({"stage2": {"rl": {"engine": "torch"}}}, {"rl"}),
        ({"stage2": {"rl": {"max_generation_batches": 9}}}, {"rl"}),
        ({"rollout_engine": {"dtype": "float32"}}, {"stage1 rollouts"}),
        ({"scoring": {"scheme": "binary"}}, {"rl"}),
        (
            {"scoring": {"answer_rule": "lenient"}},
            {"rl", "stage1 selection", "iteration's selection", "scores", "pass@k", "failures"},
        ),
    ],
)
def test_what_decides_the_result_is_in_its_stages_spec_alone(change, changed):
    before, after = texts(), texts(change)
    assert {name for name in SPECS if before[name] != after[name]} == changed


def test_options_of_an_engine_of_ones_own_are_in_the_spec_for_they_may_change_its_results():
    own = {"rollout_engine": {"name": "mine.engines:Mine", "options": {"beam": 4}}}
    spec = stages.generate_rollouts(config(own, overlay="paper.yaml"), 0, 10)
    assert spec.engine == "mine.engines:Mine" and spec.options["beam"] == 4
    assert not stages.generate_rollouts(config(overlay="paper.yaml"), 0, 10).options


def test_what_is_to_happen_without_an_update_is_not_in_the_spec():
    assert "on_empty_step" not in json.loads(SPECS["rl"](config()).text())["rl"]


@pytest.mark.parametrize("change", [{"every": 9}, {"every": 0}, {"greedy": True}, {"problems": 3}, {"levels": [2, 2]}], ids=str)
def test_validation_is_in_no_spec(change):
    changed = {"stage2": {"rl": {"validation": change}}}
    assert texts(changed) == texts()
    assert stages.rl_validation(config(changed)) != stages.rl_validation(config())


def test_the_old_word_for_the_published_scheme_gives_the_same_specs(capsys):
    old, new = ({"scoring": {"scheme": word}} for word in ("paper", "published_code"))
    assert config(old) == config(new) and texts(old) == texts(new)
    assert "published_code" in texts(old)["rl"]
    out, said = capsys.readouterr()
    assert out == "" and "scoring.scheme: paper is now called published_code" in said
    config(new)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "model"), list(zip(SPECS, [GenerateRollouts, TrainSft, TrainSft, TrainRl])))
def test_programs_read_the_spec_that_rules_write(name, model):
    spec = SPECS[name](config())
    text = spec.text()
    assert model.model_validate_json(text) == spec
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) and text.isascii()


def test_without_options_the_spec_of_rollouts_does_not_speak_of_them():
    """So that rollouts of engines without options are not made anew."""
    assert "options" not in json.loads(stages.generate_rollouts(config(overlay="paper.yaml"), 0, 10).text())
