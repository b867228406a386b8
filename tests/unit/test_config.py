"""Configuration: defaults, and errors that name the key and the cure."""

import json
import re
import subprocess
import sys
from functools import reduce
from operator import attrgetter
from pathlib import Path

import pytest
import yaml
from configs import configured

from fofg import config
from fofg.config import Config, Resources, keys, load, read
from fofg.config.loading import RENAMED, merge
from fofg.errors import UserError

ROOT = Path(__file__).parents[2]
DEFAULT = ROOT / "config/default.yaml"
COUNTDOWN = read([DEFAULT])["problems"] | {"task": "countdown", "template": "{numbers} {target}"}


@pytest.fixture
def values():
    return read([DEFAULT])


def test_the_default_and_every_overlay_load(values):
    load(values)
    for overlay in ROOT.glob("config/*.yaml"):
        load(read([DEFAULT, overlay]))


@pytest.mark.parametrize("old", RENAMED)
def test_renamed_keys_are_refused_with_the_new_name(values, old):
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


def test_the_schema_is_current():
    assert json.loads((ROOT / "config/schema.json").read_text()) == Config.model_json_schema(), "make schema"


@pytest.mark.parametrize("image", ["no.sif", "my image.sif", "docker://{tag}"])
def test_an_unusable_image_is_an_error(values, image):
    values["container"] = image
    with pytest.raises(UserError, match=f"container: .*{re.escape(image)}"):
        load(values)


def test_all_errors_are_reported_at_once_with_path_and_advice(values):
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


BAD_VALUES = [
    ("problems.input_length", [6, 3], "the fewest (6) is more than the most (3)"),
    ("problems.template", "no placeholders", "needs {code} exactly once"),
    ("countdown.template", "{numbers}", "needs {target} exactly once"),
    ("countdown.levels", [2, 5], "2 integers are what Stage 1 trains on"),
    ("problems.max_output_length", 4, "less than the longest input (6)"),
    ("stage1.rollouts.top_p", 0, "Input should be greater than 0"),
    ("stage1.sft.learning_rate", "fast", "Input should be a valid number"),
    ("stage1.sft.learning_rate", float("nan"), ""),
    ("run_dir", 3, "Input should be a valid string"),
    ("datasets.stage2_level2.levels", [3, 2], "the lowest (3) is more than the highest (2)"),
    ("datasets.stage2_level2.levels", [2, 12], "sampler balanced finds no problems above level 9"),
    ("datasets.stage2_level2.pairs", "new", "set train: 0"),
    ("datasets.stage2_level1to8.pairs", "new", "set functions: train, or test: 0"),
    ("datasets.stage2_level2.stage", 3, "Input should be 1 or 2, not 3"),
    ("datasets.stage1_level1.levels", [1, 2], "one level only"),
    ("datasets.Level-3", {}, ""),
    ("stage2.rl.mini_batch_prompts", 5, "does not divide prompts_per_step (32)"),
    ("stage2.rl.curricula.level1", [], ""),
    ("stage2.rl.curricula.level1", [{"steps": 1, "mixture": {"stage2_level1": 0}}], "Input should be greater than 0"),
    ("stage2.rl.curricula.level1", [{"step": 3, "mixture": {}}], "did you mean stage2.rl.curricula.level1.0.steps?"),
    ("stage2.rl.curricula.level1", [{"steps": 1, "mixture": {"stage2_level_1": 1}}], "did you mean stage2_level1?"),
    ("stage2.rl.validation.problems", 33, "datasets.stage2_validation.test gives 32"),
    ("stage2.rl.validation.levels", [1, 5], "dataset stage2_validation has 1, 2, 3, 4"),
    ("stage2.rft.on_empty_selection", "keepmodel", "did you mean keep_model?"),
    ("stage2.rft.dataset", "stage2_level3", "has no train problems; did you mean stage2_level2?"),
    ("evaluation.dataset", "stage2_level2", "set datasets.stage2_level2.test"),
    ("evaluation.splits", ["stage2_passk", "stage2_pask"], "dataset stage2_pask has no test problems; did you mean stage2_passk?"),
    ("evaluation.splits", ["stage2_passk", "stage2_passk"], "named twice"),
    ("evaluation.splits", ["stage2_level1to8"], "stage2_level1to8 is evaluation.dataset"),
    ("passk.dataset", "nowhere", "set datasets.nowhere.test"),
    ("passk.models", ["stage2-rl-level3"], "no model stage2-rl-level3; there are base, stage1-rft, "),
    ("failures.levels", [9, 9], "datasets.stage2_level1to8.levels is [1, 8]"),
    ("figures.formats", ["png", "png"], "names a format twice"),
]
#: The messages name the section or another key that has to change.
ELSEWHERE = [
    ("datasets.stage2_level1to8.functions", "train", "no problems above level 6"),
    ("datasets.stage1_level1.functions", "train", "need stage: 2, problems.task: string_task and problems.sampler: balanced"),
    ("stage2.rl.rollouts.samples", 1, "stage2.rl.rollouts: a group needs at least 2 samples"),
    *((f"{at}.temperature", 0, f"{at}: temperature 0") for at in ("stage2.rl.rollouts", "stage2.rft.rollouts", "passk.rollouts")),
    ("problems.task", "countdown", "needs {numbers} exactly once"),
    ("problems", COUNTDOWN, "datasets.stage1_level1.levels: a Countdown problem has 2 integers or more"),
    ("datasets.stage1_level1.test", 0, "set datasets.stage1_level1.test"),
    (
        "stage2.rft.num_iterations",
        5,
        "stage2.rft: 5 iterations of 500 problems need 2500, but datasets.stage2_level2.train has 2000",
    ),
    ("stage2.rft.examples_per_iteration", 667, "stage2.rft: 3 iterations of 667 problems need 2001"),
]


@pytest.mark.parametrize(("path", "value", "part"), [*BAD_VALUES, *ELSEWHERE])
def test_bad_values_are_errors_that_name_the_key_and_the_cure(values, path, value, part):
    change(values, path, value)
    with pytest.raises(UserError) as error:
        load(values)
    assert part in str(error.value)
    if (path, value, part) in BAD_VALUES:
        assert path in str(error.value)


def change(values: dict, path: str, value) -> None:
    *parents, key = path.split(".")
    for name in parents:
        values = values[name]
    values[key] = value


def test_pairs_of_a_test_are_left_out_of_training():
    splits = ROOT / "config/splits.yaml"
    for change, part in (
        (
            {"stage2_level2": {"pairs": "all"}},
            "datasets.stage2_level2.pairs: it trains on pairs that a test calls new; set pairs: seen",
        ),
        ({"stage2_level1to2": {"pairs": "all"}}, "datasets.stage2_level1to2.pairs: it trains"),
    ):
        with pytest.raises(UserError, match=re.escape(part)):
            configured(splits, datasets=change)
    with pytest.raises(UserError, match=r"need stage: 2, .*balanced"):
        configured(splits, problems={"sampler": "paper"})


def test_a_custom_file_can_replace_the_rft_dataset(values):
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


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("stage1.rft.max_per_problem", "null", None),
        ("stage1.rft.max_per_problem", "3", 3),
        ("use.stage1_problems", "~", None),
        ("use.stage1_problems", "null.parquet", "null.parquet"),
        ("datasets.stage2_level1.levels", ["1", "2"], (1, 2)),
        ("stage1.rft.drop_duplicates", "yes", True),
        ("stage1.sft.learning_rate", "1e-4", 1e-4),
        ("cluster.resources", {"train_sft": {"mem_mb": "5000", "runtime": "null"}}, {"train_sft": Resources(mem_mb=5000)}),
        ("stage2.rl.scale_rewards", "none", "none"),
        ("base_model", "1234", "1234"),
        ("problems.template", "null {code} {input}", "null {code} {input}"),
    ],
)
def test_text_from_the_command_line_is_read_as_yaml(values, path, text, value):
    change(values, path, text)
    read_as = load(values)
    for part in path.split("."):
        read_as = read_as[part] if isinstance(read_as, dict) else getattr(read_as, part)
    assert read_as == value


def test_engine_options_may_be_text(values):
    values["rollout_engine"] |= {"name": "mine:Engine", "options": {"beams": "4", "exact": "true", "seed": "null", "style": "loud"}}
    assert load(values).rollout_engine.options == {"beams": 4, "exact": True, "seed": None, "style": "loud"}


@pytest.mark.parametrize("value", [True, "yes", "on"])
@pytest.mark.parametrize(
    ("path", "around", "named"),
    [
        *((path, "{}", path) for path in ("stage1.rft.max_per_problem", "training.threads", "stage2.rl.clip_low")),
        ("datasets.stage2_level1.levels", "[{}, 2]", "datasets.stage2_level1.levels"),
        (
            *("stage2.rl.curricula.level1", "[{{steps: 2, mixture: {{stage2_level1: {}}}}}]"),
            "stage2.rl.curricula.level1.0.mixture",
        ),
    ],
)
def test_booleans_are_no_numbers(values, path, around, named, value):
    change(values, path, yaml.safe_load(around.format(value)))
    with pytest.raises(UserError, match=rf"{named}: needs a number, not true"):
        load(values)


@pytest.mark.parametrize(
    ("text", "part"),
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
def test_unusable_files_are_named_with_the_line(tmp_path, text, part):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=re.escape(f"{path}: {part}")):
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
def test_valid_yaml_is_read(tmp_path, text, values):
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
    assert settings.missing_for_countdown() == "countdown.curricula: no level1to2; there are level1, level2"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Change to a folder below a home folder, both also reached by a link."""
    (tmp_path / "real/home/study/runs").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("HOME", str(tmp_path / "link/home"))
    monkeypatch.chdir(tmp_path / "link/home/study")
    return tmp_path / "real/home"


@pytest.mark.parametrize(
    ("spelled", "normal"),
    [
        *((spelled, "runs/a") for spelled in ("runs/a", "./runs/a/", "runs//b/../a", "~/study/runs/a", "{home}/study/runs/a")),
        *((spelled, "runs/a") for spelled in ("{link}/home/study/runs/a", "shortcut")),
        *((".", "."), ("~/study", "."), ("..", "{home}"), ("~", "{home}"), ("~/run/", "{home}/run")),
    ],
)
def test_spellings_of_one_folder_are_normalized(values, home, tmp_path, spelled, normal):
    """Folders elsewhere are absolute."""
    (home / "study/shortcut").symlink_to("runs/a")
    values["run_dir"] = spelled.format(home=home, link=tmp_path / "link")
    assert load(values).run_dir == normal.format(home=home)


PATHS = ["run_dir", "base_model", "container", "use.stage1_problems", "use.stage1_rft_data", "use.stage1_checkpoint"]


@pytest.mark.parametrize("path", PATHS)
def test_a_tilde_is_the_home_folder_in_every_path(values, home, path):
    (home / "mine").mkdir()
    change(values, path, "~/mine")
    assert Path(attrgetter(path)(load(values))).samefile(home / "mine")


def test_a_tilde_is_the_home_folder_in_a_mixture(values, home):
    mixture = {"~/a.parquet": 1, "./b.parquet": 1, "stage2_level1": 1}
    change(values, "stage2.rl.curricula.level1", [{"steps": 1, "mixture": mixture}])
    assert list(load(values).stage2.rl.curricula["level1"][0].mixture) == [f"{home}/a.parquet", "b.parquet", "stage2_level1"]


@pytest.mark.parametrize("sign", ["{x}", "$HOME", "{", "}"])
@pytest.mark.parametrize("path", PATHS)
def test_unusable_characters_in_paths_are_errors(values, path, sign):
    change(values, path, f"runs/{sign}")
    with pytest.raises(UserError, match=rf"{path}: runs/{re.escape(sign)} "):
        load(values)


@pytest.mark.parametrize("path", ["a file", "a file/run"])
def test_run_dir_must_not_be_a_file(values, home, path):
    (home / "study/a file").touch()
    values["run_dir"] = path
    with pytest.raises(UserError, match=r"run_dir: .* is a file, not a folder"):
        load(values)


@pytest.mark.parametrize("change", [{"max_output_length": 256}, {"max_output_length": None}, {"sampler": "paper"}], ids=str)
def test_deeper_levels_need_longer_outputs_or_the_published_sampler(values, change):
    values["datasets"]["stage2_level2"]["levels"] = [2, 12]
    load(values | {"problems": values["problems"] | change})
