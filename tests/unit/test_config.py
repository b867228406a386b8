"""Configuration: complete defaults, all errors at once, each with its path and a way out."""

import json
import re
from pathlib import Path

import pytest
import yaml

from fofg.config import Config, keys, load, read
from fofg.errors import UserError

ROOT = Path(__file__).parents[2]
DEFAULT = ROOT / "config/default.yaml"


@pytest.fixture
def values():
    return read([DEFAULT])


def test_the_default_is_complete_and_every_overlay_loads(values):
    load(values)
    for overlay in ROOT.glob("config/*.yaml"):
        load(read([DEFAULT, overlay]))


def test_every_key_of_the_default_has_a_comment():
    lines = [line for line in DEFAULT.read_text().splitlines() if re.match(r" *(\w+): *[^ #]", line)]
    assert len(lines) >= len(list(keys())) - 3  # the splits stand on one line; the template's own lines are no keys
    assert [line for line in lines if "#" not in line] == []


def test_every_key_and_its_meaning_is_in_the_schema_which_is_current():
    assert json.loads((ROOT / "config/schema.json").read_text()) == Config.model_json_schema(), "make schema"


def test_all_errors_come_at_once_with_path_and_advice(values):
    values["problem"] = {}
    values["stage1"]["sft"]["epoch"] = 3
    values["stage1"]["sft"]["epochs"] = 0
    values["scoring"]["scheme"] = "papr"
    values["problems"] |= {"sampler": "uniform", "template": "{code}", "input_length": [4, 2]}
    del values["figures"]["dpi"]
    with pytest.raises(UserError) as caught:
        load(values)
    message = str(caught.value)
    assert "problem: no such key; did you mean problems?" in message
    assert "stage1.sft.epoch: no such key; did you mean stage1.sft.epochs?" in message
    assert "stage1.sft.epochs: Input should be greater than or equal to 1, not 0" in message
    assert "scoring.scheme: " in message and "did you mean paper?" in message
    assert "figures.dpi: missing" in message
    assert "problems.sampler: " in message
    assert "problems.template: needs {input} exactly once, has it 0 times" in message
    assert "problems.input_length: the fewest (4) is more than the most (2)" in message


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("problems.input_length", [6, 3], "problems.input_length: the fewest (6) is more than the most (3)"),
        ("problems.template", "no placeholders", "problems.template: needs {code} exactly once"),
        ("problems.max_output_length", 4, "problems.max_output_length: less than the longest input (6)"),
        ("stage1.rollouts.top_p", 0, "stage1.rollouts.top_p: Input should be greater than 0"),
        ("stage1.sft.learning_rate", "fast", "stage1.sft.learning_rate: Input should be a valid number"),
        ("stage1.sft.learning_rate", float("nan"), "stage1.sft.learning_rate"),
        ("run_dir", 3, "run_dir: Input should be a valid string"),
    ],
)
def test_bad_values_are_named(values, path, value, says):
    *parents, key = path.split(".")
    section = values
    for name in parents:
        section = section[name]
    section[key] = value
    with pytest.raises(UserError, match=re.escape(says)):
        load(values)


def test_yaml_numbers_without_a_dot_are_numbers(tmp_path):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("stage1: {sft: {learning_rate: 1e-4}}\n")
    assert yaml.safe_load(overlay.read_text())["stage1"]["sft"]["learning_rate"] == "1e-4"
    assert load(read([DEFAULT, overlay])).stage1.sft.learning_rate == 1e-4


def test_overlays_merge_left_to_right_and_lists_are_replaced(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("figures: {formats: [pdf], dpi: 10}\nrun_dir: a\n")
    second.write_text("run_dir: b\n")
    settings = load(read([DEFAULT, first, second]))
    assert (settings.run_dir, settings.figures.formats, settings.figures.dpi) == ("b", ["pdf"], 10)
    assert settings.problems == load(read([DEFAULT])).problems


@pytest.mark.parametrize("text", ["- a list\n", "a: [1\n", "only text\n"])
def test_a_file_that_is_no_mapping_is_named(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=re.escape(str(path))):
        load(read([DEFAULT, path]))


def test_the_paper_overlay_has_the_paper_s_numbers():
    settings = load(read([DEFAULT, ROOT / "config/paper.yaml"]))
    stage1 = settings.stage1
    assert (settings.problems.sampler, settings.problems.seed, settings.problems.input_length) == ("paper", 42, (3, 10))
    assert (settings.datasets.stage1_level1.train, settings.datasets.stage1_level1.test) == (50_000, 128)
    assert (stage1.rollouts.samples, stage1.rollouts.temperature, stage1.rollouts.top_p) == (10, 1.0, 1.0)
    assert (stage1.rollouts.max_prompt_tokens, stage1.rollouts.max_response_tokens) == (1024, 8192)
    assert (stage1.rft.keep_definitions, stage1.rft.turns_per_example, stage1.rft.test_rows) == (False, 1, 1)
    sft = stage1.sft
    assert (sft.learning_rate, sft.epochs, sft.batch_size, sft.max_length, sft.too_long) == (2e-5, 2, 128, 5120, "truncate")
