"""Configuration: complete defaults, all errors at once, each with its path and a way out."""

import json
import re
import subprocess
import sys
from functools import reduce
from operator import attrgetter
from pathlib import Path

import pytest
import yaml

from fofg import config
from fofg.config import Config, Resources, keys, load, read
from fofg.config.loading import RENAMED, merge
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


@pytest.mark.parametrize("old", RENAMED)
def test_a_key_that_was_renamed_is_refused_with_its_new_name(values, old):
    merge(values, reduce(lambda value, name: {name: value}, reversed(old.split(".")), 1))
    with pytest.raises(UserError, match=f"{old}: now called {RENAMED[old]}$"):
        load(values)
    assert RENAMED[old] in set(keys(read([DEFAULT])))


def test_the_default_is_found_from_any_folder(monkeypatch, tmp_path):
    """With its model; other paths are relative to the working directory."""
    monkeypatch.chdir(tmp_path)
    values = read([config.DEFAULT])
    assert load(values).base_model == str(ROOT / "resources/tiny-base")
    (tmp_path / "resources/tiny-base").mkdir(parents=True)
    assert load(values).base_model == "resources/tiny-base"
    assert load(values | {"base_model": "models/mine"}).base_model == "models/mine"
    done = subprocess.run([sys.executable, "-m", "fofg", "config"], capture_output=True, text=True, check=True)
    assert yaml.safe_load(done.stdout)["run_dir"] == values["run_dir"]


def test_every_key_of_the_default_has_a_comment(values):
    lines = [line for line in DEFAULT.read_text().splitlines() if re.match(r" *(\w+): *[^ #]", line)]
    one_line = 3 * len(values["datasets"])  # a dataset's four keys stand on one line
    assert len(lines) == len(list(keys(values))) - one_line
    assert [line for line in lines if "#" not in line] == []


def test_keys_are_dotted_paths_to_values(values):
    found = list(keys(values))
    assert {"run_dir", "datasets.stage2_level2.train", "stage2.rl.curricula.level1", "use.stage1_problems"} <= set(found)
    assert not {"datasets", "stage2.rl.curricula"} & set(found)
    assert len(set(found)) == len(found)


def test_every_key_and_its_meaning_is_in_the_schema_which_is_current():
    assert json.loads((ROOT / "config/schema.json").read_text()) == Config.model_json_schema(), "make schema"


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("no.sif", "container: no file no.sif; docs/containers.md says how to build it"),
        ("my image.sif", "container: my image.sif has ' ' in it, which Snakemake does not pass on; move or rename it"),
        ("docker://{tag}", "container: docker://{tag} has '{' in it, which Snakemake does not pass on; move or rename it"),
        ("docker://fofg-gpu", None),
        (None, None),
    ],
)
def test_an_image_is_there_or_is_pulled(values, image, problem):
    values["container"] = image
    if problem:
        with pytest.raises(UserError) as error:
            load(values)
        assert problem in str(error.value)
    else:
        assert load(values).container == image


def test_all_errors_come_at_once_with_path_and_advice(values):
    values["problem"] = {}
    values["stage1"]["sft"]["epoch"] = 3
    values["stage1"]["sft"]["epochs"] = 0
    values["scoring"]["scheme"] = "published_cod"
    values["problems"] |= {"sampler": "uniform", "template": "{code}", "input_length": [4, 2]}
    del values["figures"]["dpi"]
    with pytest.raises(UserError) as caught:
        load(values)
    message = str(caught.value)
    assert "problem: no such key; did you mean problems?" in message
    assert "stage1.sft.epoch: no such key; did you mean stage1.sft.epochs?" in message
    assert "stage1.sft.epochs: Input should be greater than or equal to 1, not 0" in message
    assert "scoring.scheme: " in message and "did you mean published_code?" in message
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
        ("datasets.stage2_level2.levels", [3, 2], "datasets.stage2_level2.levels: the lowest (3) is more than the highest (2)"),
        ("datasets.stage2_level2.stage", 3, "datasets.stage2_level2.stage: Input should be 1 or 2, not 3"),
        ("datasets.Level-3", {}, "datasets.Level-3"),
        ("stage2.rl.mini_batch_prompts", 5, "stage2.rl.mini_batch_prompts: does not divide prompts_per_step (32)"),
        ("stage2.rl.rollouts.samples", 1, "stage2.rl.rollouts: a group needs at least 2 samples"),
        ("stage2.rl.rollouts.temperature", 0, "stage2.rl.rollouts: temperature 0 gives equal responses; raise it"),
        ("stage2.rl.curricula.level1", [], "stage2.rl.curricula.level1: "),
        ("stage2.rl.curricula.level1", [{"steps": 1, "mixture": {"stage2_level1": 0}}], "mixture.stage2_level1: Input should be"),
        (
            "stage2.rft.on_empty_selection",
            "keepmodel",
            "stage2.rft.on_empty_selection: Input should be 'error' or 'keep_model', not 'keepmodel'; did",
        ),
    ],
)
def test_bad_values_are_named(values, path, value, says):
    change(values, path, value)
    with pytest.raises(UserError, match=re.escape(says)):
        load(values)


def change(values: dict, path: str, value) -> None:
    *parents, key = path.split(".")
    for name in parents:
        values = values[name]
    values[key] = value


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (
            "stage2.rft.dataset",
            "stage2_level3",
            "stage2.rft.dataset: dataset stage2_level3 has no train problems; did you mean stage2_level2?",
        ),
        (
            "evaluation.dataset",
            "stage2_level2",
            "evaluation.dataset: dataset stage2_level2 has no test problems; set datasets.stage2_level2.test",
        ),
        ("passk.dataset", "nowhere", "passk.dataset: dataset nowhere has no test problems; set datasets.nowhere.test"),
        (
            "stage2.rl.curricula.level1",
            [{"steps": 1, "mixture": {"stage2_level_1": 1}}],
            "stage2.rl.curricula.level1: dataset stage2_level_1 has no train problems; did you mean stage2_level1?",
        ),
        ("datasets.stage1_level1.test", 0, "dataset stage1_level1 has no test problems; set datasets.stage1_level1.test"),
        ("passk.models", ["stage2-rl-level3"], "passk.models: no model stage2-rl-level3; there are base, stage1-rft, "),
        ("passk.models", ["stage2-rft-iter3"], "passk.models: no model stage2-rft-iter3"),
        (
            "stage2.rft.num_iterations",
            5,
            "stage2.rft: 5 iterations of 500 problems need 2500, but datasets.stage2_level2.train has 2000; raise it, or lower",
        ),
        ("stage2.rft.examples_per_iteration", 667, "stage2.rft: 3 iterations of 667 problems need 2001"),
    ],
)
def test_what_sections_demand_of_one_another_is_checked(values, path, value, says):
    change(values, path, value)
    with pytest.raises(UserError, match=re.escape(says)):
        load(values)


def test_demands_are_reported_together(values):
    change(values, "evaluation.dataset", "evalution")
    change(values, "passk.models", ["bse"])
    with pytest.raises(UserError, match=r"(?s)evaluation\.dataset: .*\n  passk\.models: no model bse"):
        load(values)


def test_data_sets_and_curricula_of_ones_own_need_no_code(tmp_path):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(
        "datasets: {stage2_level3: {stage: 2, levels: [3, 3], train: 10, test: 0}}\n"
        "stage2: {rl: {curricula: {level3: [{steps: 2, mixture: {stage2_level3: 1, my/own.parquet: 2}}]}}}\n"
        "passk: {models: [stage2-rl-level3]}\n"
    )
    settings = load(read([DEFAULT, overlay]))
    assert settings.datasets["stage2_level3"].levels == (3, 3)
    iterations = [f"stage2-rft-iter{i}" for i in range(settings.stage2.rft.num_iterations)]
    curricula = ["stage2-rl-level1", "stage2-rl-level2", "stage2-rl-level1to2", "stage2-rl-level3"]
    assert settings.models() == ["base", "stage1-rft", *iterations, *curricula]


def test_a_file_of_ones_own_may_take_the_place_of_the_data_set_for_rft(values):
    change(values, "stage2.rft.dataset", "nowhere")
    change(values, "use.stage2_rft_problems", "mine.parquet")
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


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (
            "stage2.rl.validation.problems",
            17,
            "stage2.rl.validation.problems: 17 a level, but datasets.stage2_validation.test gives 16",
        ),
        (
            "stage2.rl.validation.levels",
            [1, 5],
            "stage2.rl.validation.levels: [1, 5], but dataset stage2_validation has 1, 2, 3, 4",
        ),
        ("failures.levels", [9, 9], "failures.levels: [9, 9], but datasets.stage2_level1to8.levels is [1, 8]"),
        ("passk.rollouts.temperature", 0, "passk.rollouts: temperature 0 gives equal responses; raise it"),
        ("stage2.rft.rollouts.temperature", 0, "stage2.rft.rollouts: temperature 0 gives equal responses; raise it"),
        ("figures.formats", ["png", "png"], "figures.formats: names a format twice"),
        ("datasets.stage1_level1.levels", [1, 2], "datasets.stage1_level1.levels: one level only"),
        ("stage2.rl.curricula.level1", [{"step": 3, "mixture": {}}], "did you mean stage2.rl.curricula.level1.0.steps?"),
    ],
)
def test_what_a_job_would_fail_at_is_said_before_anything_runs(values, path, value, says):
    change(values, path, value)
    with pytest.raises(UserError, match=re.escape(says)):
        load(values)


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("stage1.rft.max_per_problem", "null", None),
        ("stage1.rft.max_per_problem", "~", None),
        ("stage1.rft.max_per_problem", "3", 3),
        ("problems.max_output_length", "Null", None),
        ("container", "null", None),
        ("use.stage1_problems", "~", None),
        ("use.stage1_problems", "null.parquet", "null.parquet"),
        ("datasets.stage2_level1.stage", "2", 2),
        ("datasets.stage2_level1.levels", ["1", "2"], (1, 2)),
        ("stage1.rft.drop_duplicates", "yes", True),
        ("stage1.sft.learning_rate", "1e-4", 1e-4),
        ("stage1.sft.learning_rate", "2", 2.0),
        ("cluster.resources", {"train_sft": {"mem_mb": "5000", "runtime": "null"}}, {"train_sft": Resources(mem_mb=5000)}),
        ("rollout_engine.options", {}, {}),
        ("figures.formats", ["png"], ["png"]),
        ("stage2.rl.scale_rewards", "none", "none"),
        ("base_model", "1234", "1234"),
        ("problems.template", "null {code} {input}", "null {code} {input}"),
    ],
)
def test_text_from_the_command_line_means_what_it_means_in_a_file(values, path, text, value):
    change(values, path, text)
    read_as = load(values)
    for part in path.split("."):
        read_as = read_as[part] if isinstance(read_as, dict) else getattr(read_as, part)
    assert read_as == value


def test_numbers_in_options_of_an_engine_may_be_text(values):
    values["rollout_engine"] |= {"name": "mine:Engine", "options": {"beams": "4", "exact": "true", "seed": "null", "style": "loud"}}
    assert load(values).rollout_engine.options == {"beams": 4, "exact": True, "seed": None, "style": "loud"}


@pytest.mark.parametrize("value", [True, "yes", "on"])
@pytest.mark.parametrize(
    "path",
    [
        "stage1.rft.max_per_problem",
        "stage1.rollouts.temperature",
        "training.threads",
        "datasets.stage2_level1.stage",
        "datasets.stage2_level1.train",
        "stage2.rl.clip_low",
        "plan.start_seconds",
    ],
)
def test_a_boolean_is_no_number(values, path, value):
    change(values, path, value)
    with pytest.raises(UserError, match=rf"{path}: needs a number, not true"):
        load(values)


@pytest.mark.parametrize("value", [[True, 2], ["yes", 2]])
def test_a_boolean_inside_a_list_or_a_mapping_is_no_number(values, value):
    change(values, "datasets.stage2_level1.levels", value)
    change(values, "stage2.rl.curricula.level1", [{"steps": 2, "mixture": {"stage2_level1": value[0]}}])
    with pytest.raises(UserError) as error:
        load(values)
    for path in ("datasets.stage2_level1.levels", "stage2.rl.curricula.level1.0.mixture"):
        assert f"{path}: needs a number, not true" in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a:\n  b: 1\nc: 2\na: {b: 3}\n", "key a is given twice, in lines 1 and 4"),
        ("a:\n  b: 1\n  b: 2\n", "key a.b is given twice, in lines 2 and 3"),
        ("a: [{b: 1}, {b: 1,\n c: 2, b: 3}]\n", "key a.1.b is given twice, in lines 1 and 2"),
        ("a: [1\n", "line 2: not YAML"),
        ("a: 1\n\tb: 2\n", "line 2: not YAML"),
        ("--- {a: 1}\n--- {b: 1}\n", "line 2: not YAML"),
        ("- a\n", "not a YAML mapping"),
        ("a: 1\nb: caf\xe9\n".encode("latin-1"), "line 2 is not UTF-8 (byte 0xe9)"),
        ("a: \x00\n", "not YAML"),
    ],
)
def test_a_file_that_cannot_be_meant_is_named_with_its_line(tmp_path, text, says):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=re.escape(f"{path}: {says}")):
        read([path])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("# all of it is a comment\n", {}),
        ("\ufeffa: 1\n", {"a": 1}),
        ("a: &a {b: 1, c: 2}\nd: {<<: *a, b: 3}\n", {"a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 2}}),
        ("a: {b: 1}\nc: {b: 1}\n", {"a": {"b": 1}, "c": {"b": 1}}),
    ],
)
def test_what_yaml_allows_is_read(tmp_path, text, values):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    assert read([path]) == values


@pytest.mark.parametrize("null", [None, "null"])
def test_null_removes_an_entry_of_the_default(values, null):
    change(values, "datasets.stage2_level1to2", null)
    change(values, "stage2.rl.curricula.level1to2", null)
    change(values, "passk.models", ["base"])
    change(values, "cluster.resources", {"train_sft": null})
    settings = load(values)
    assert "stage2_level1to2" not in settings.datasets and list(settings.stage2.rl.curricula) == ["level1", "level2"]
    assert "stage2-rl-level1to2" not in settings.models() and settings.cluster.resources == {}


def test_what_names_a_removed_entry_is_an_error(values):
    change(values, "datasets.stage2_level1", None)
    change(values, "stage2.rl.curricula.level1to2", None)
    with pytest.raises(UserError) as error:
        load(values)
    assert "stage2.rl.curricula.level1: dataset stage2_level1 has no train problems" in str(error.value)
    assert "passk.models: no model stage2-rl-level1to2" in str(error.value)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working folder below a home folder, both also reached by a link."""
    (tmp_path / "real/home/study/runs").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("HOME", str(tmp_path / "link/home"))
    monkeypatch.chdir(tmp_path / "link/home/study")
    return tmp_path / "real/home"


@pytest.mark.parametrize(
    "spelled", ["runs/a", "./runs/a/", "runs//b/../a", "~/study/runs/a", "{here}/runs/a", "{link}/home/study/runs/a", "{linked}"]
)
def test_one_folder_has_one_spelling(values, home, tmp_path, spelled):
    (home / "study/shortcut").symlink_to("runs/a")
    values["run_dir"] = spelled.format(here=home / "study", link=tmp_path / "link", linked="shortcut")
    assert load(values).run_dir == "runs/a"


@pytest.mark.parametrize(
    ("spelled", "one"), [(".", "."), ("~/study", "."), ("..", "{home}"), ("~", "{home}"), ("~/run/", "{home}/run")]
)
def test_a_folder_elsewhere_is_absolute(values, home, spelled, one):
    values["run_dir"] = spelled
    assert load(values).run_dir == one.format(home=home)


PATHS = [
    "run_dir",
    "base_model",
    "use.stage1_problems",
    "use.stage1_rft_data",
    "use.stage1_checkpoint",
    "use.stage2_rft_problems",
    "container",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_tilde_is_the_home_folder_in_every_path(values, home, path):
    (home / "mine").mkdir()
    change(values, path, "~/mine")
    assert Path(attrgetter(path)(load(values))).samefile(home / "mine")


def test_a_tilde_is_the_home_folder_in_a_mixture(values, home):
    change(
        values, "stage2.rl.curricula.level1", [{"steps": 1, "mixture": {"~/a.parquet": 1, "./b.parquet": 1, "stage2_level1": 1}}]
    )
    assert list(load(values).stage2.rl.curricula["level1"][0].mixture) == [f"{home}/a.parquet", "b.parquet", "stage2_level1"]


@pytest.mark.parametrize("sign", ["{x}", "$HOME", "{", "}"])
@pytest.mark.parametrize("path", PATHS)
def test_signs_that_would_be_read_as_something_else_are_named(values, path, sign):
    change(values, path, f"runs/{sign}")
    with pytest.raises(UserError, match=rf"{path}: runs/{re.escape(sign)} "):
        load(values)


@pytest.mark.parametrize("path", ["a file", "a file/run"])
def test_a_file_is_no_folder_to_run_in(values, home, path):
    (home / "study/a file").touch()
    values["run_dir"] = path
    with pytest.raises(UserError, match=r"run_dir: .* is a file, not a folder"):
        load(values)


def test_levels_that_no_problem_reaches_are_named(values):
    change(values, "datasets.stage2_level2.levels", [2, 12])
    with pytest.raises(UserError, match=r"datasets\.stage2_level2\.levels: sampler balanced finds no problems above level 9"):
        load(values)
    for key, value in (("max_output_length", 256), ("max_output_length", None), ("sampler", "paper")):
        load(values | {"problems": values["problems"] | {key: value}})
