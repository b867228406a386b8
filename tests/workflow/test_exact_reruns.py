"""Change a key of the configuration, and exactly the stages that depend on it rerun."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from fofg.config import keys, load, read

DEFAULT = Path(__file__).parents[2] / "config/default.yaml"
pytestmark = pytest.mark.slow

TABLE = {"summarize_accuracy": 1, "plot_accuracy": 1}
EVALUATE_ALL = {"generate_evaluation_rollouts": 4, "score_rollouts": 4} | TABLE
EVALUATE_STAGE1 = {"generate_evaluation_rollouts": 2, "score_rollouts": 2} | TABLE
SFT = {"train_sft": 1, "plot_training": 1} | EVALUATE_STAGE1
SELECTION = {"select_rft_data": 1, "plot_selection": 1} | SFT
ROLLOUTS = {"generate_rollouts": 2, "gather_rollouts": 1} | SELECTION
PROBLEMS = {"create_problem_shard": 2, "gather_problems": 1, "create_problems": 1} | ROLLOUTS | EVALUATE_ALL
BASE = {"prepare_base_model": 1} | ROLLOUTS | EVALUATE_ALL
FIGURES = {"plot_selection": 1, "plot_training": 1, "plot_accuracy": 1}
TINY = {"build_tiny_base": 1}
NOTHING = {}

#: Key -> another value, and the jobs by rule that it makes stale. {run} is the finished run's folder.
EXPECTED = {
    "run_dir": ("elsewhere", PROBLEMS | BASE | TINY),
    "base_model": ("someone/another-model", BASE),
    "plain_prompt": (False, BASE),
    "problems.sampler": ("paper", PROBLEMS),
    "problems.seed": (7, PROBLEMS),
    "problems.input_length": ([4, 6], PROBLEMS),
    "problems.max_output_length": (40, PROBLEMS),
    "problems.template": ("{code}\n\nmain_solution({input})?", PROBLEMS | TINY),
    "datasets.stage1_level1.train": (36, {"create_problem_shard": 1, "gather_problems": 1} | ROLLOUTS | {"generate_rollouts": 1}),
    "datasets.stage1_level1.test": (9, {"create_problems": 1} | EVALUATE_ALL),
    "scoring.scheme": ("binary", SELECTION | {"score_rollouts": 4}),
    "scoring.answer_rule": ("lenient", SELECTION | {"score_rollouts": 4}),
    "stage1.rollouts.samples": (3, ROLLOUTS),
    "stage1.rollouts.temperature": (0.9, ROLLOUTS),
    "stage1.rollouts.top_p": (0.9, ROLLOUTS),
    "stage1.rollouts.max_prompt_tokens": (300, ROLLOUTS),
    "stage1.rollouts.max_response_tokens": (65, ROLLOUTS),
    "stage1.rollouts.long_prompts": ("skip", ROLLOUTS),
    "stage1.rollouts.seed": (9, ROLLOUTS),
    "stage1.rft.keep_definitions": (True, SELECTION),
    "stage1.rft.drop_duplicates": (True, SELECTION),
    "stage1.rft.max_per_problem": (1, SELECTION),
    "stage1.rft.max_tokens": (60, SELECTION),
    "stage1.rft.turns_per_example": (1, SELECTION),
    "stage1.rft.test_rows": (2, SELECTION),
    "stage1.rft.seed": (9, SELECTION),
    "stage1.sft.learning_rate": (1e-4, SFT),
    "stage1.sft.epochs": (1, SFT),
    "stage1.sft.batch_size": (8, SFT),
    "stage1.sft.max_length": (900, SFT),
    "stage1.sft.too_long": ("skip", SFT),
    "stage1.sft.warmup_ratio": (0.5, SFT),
    "stage1.sft.schedule": ("linear", SFT),
    "stage1.sft.weight_decay": (0.1, SFT),
    "stage1.sft.max_grad_norm": (0.5, SFT),
    "stage1.sft.precision": ("float32", SFT),
    "stage1.sft.seed": (9, SFT),
    "evaluation.rollouts.samples": (2, EVALUATE_ALL),
    "evaluation.rollouts.temperature": (0, EVALUATE_ALL),
    "evaluation.rollouts.top_p": (0.9, EVALUATE_ALL),
    "evaluation.rollouts.max_prompt_tokens": (300, EVALUATE_ALL),
    "evaluation.rollouts.max_response_tokens": (65, EVALUATE_ALL),
    "evaluation.rollouts.long_prompts": ("skip", EVALUATE_ALL),
    "evaluation.rollouts.seed": (9, EVALUATE_ALL),
    "rollout_engine.name": ("another", ROLLOUTS | EVALUATE_ALL),
    "rollout_engine.dtype": ("bfloat16", ROLLOUTS | EVALUATE_ALL),
    "rollout_engine.shard_size": (8, {"create_problem_shard": 3, "gather_problems": 1} | ROLLOUTS | {"generate_rollouts": 3}),
    "rollout_engine.batch_size": (7, NOTHING),
    "rollout_engine.threads": (2, NOTHING),
    "training.threads": (1, NOTHING),
    "training.micro_batch_size": (2, NOTHING),
    "training.save_every": (5, NOTHING),
    "training.pretraining_save_every": (2, NOTHING),
    "training.log_every": (5, NOTHING),
    "figures.formats": (["png"], FIGURES),
    "figures.dpi": (50, FIGURES),
    "figures.font_size": (8, FIGURES),
    "use.stage1_problems": ("{run}/own.parquet", ROLLOUTS),
    "use.stage1_rft_data": ("{run}/own_rft", SFT),
    "use.stage1_checkpoint": ("{run}/own_model", EVALUATE_STAGE1),
    "tiny_base.hidden_size": (24, TINY),
    "tiny_base.layers": (2, TINY),
    "tiny_base.heads": (2, TINY),
    "tiny_base.intermediate_size": (24, TINY),
    "tiny_base.steps": (3, TINY),
    "tiny_base.tokens_per_step": (1024, TINY),
    "tiny_base.learning_rate": (1e-3, TINY),
    "tiny_base.matrix_learning_rate": (1e-3, TINY),
    "tiny_base.error_rate": (0.1, TINY),
    "tiny_base.seed": (9, TINY),
}
#: Keys with a single legal value so far.
ONLY_ONE_VALUE = {"stage1.sft.engine"}


@pytest.fixture(scope="session")
def with_own_files(finished):
    """The finished run, with a user's own files beside it."""
    run = finished.folder
    shutil.copy(run / "data/string_task/stage1_level1/train.parquet", run / "own.parquet")
    shutil.copytree(run / "data/string_task/stage1_level1/rft_data", run / "own_rft")
    shutil.copytree(run / "checkpoints/string-task/stage1-rft", run / "own_model")
    return finished


def overlay(path: Path, key: str, value) -> Path:
    nested = value
    for part in reversed(key.split(".")):
        nested = {part: nested}
    path.write_text(yaml.safe_dump(nested))
    return path


def test_the_table_has_every_key():
    assert EXPECTED.keys() | ONLY_ONE_VALUE == set(keys())


@pytest.mark.parametrize("key", EXPECTED)
def test_a_changed_key_reruns_what_depends_on_it(with_own_files, tmp_path, key):
    value, jobs = EXPECTED[key]
    if isinstance(value, str):
        value = value.replace("{run}", str(with_own_files.folder))
    changed = overlay(tmp_path / "changed.yaml", key, value)
    assert load(read([DEFAULT, changed])) != load(read([DEFAULT]))
    assert with_own_files.stale([changed]) == jobs


def test_a_finished_run_has_nothing_to_do_with_any_number_of_cores(finished):
    assert finished.stale() == NOTHING
    assert finished.stale(cores=1) == NOTHING


def test_comments_and_order_of_keys_change_nothing(finished, tmp_path):
    values = yaml.safe_load((Path(__file__).with_name("small.yaml")).read_text())
    reordered = tmp_path / "reordered.yaml"
    reordered.write_text("# a comment\n" + yaml.safe_dump(dict(reversed(values.items())), sort_keys=False))
    assert finished.stale([reordered]) == NOTHING


def test_other_weights_of_the_base_model_rerun_all_that_came_of_them(finished):
    """Also if a run was killed right after it had prepared the base model anew; the old weights put back, nothing is stale."""
    weights = finished.folder / "resources/tiny-base/model.safetensors"
    old = weights.read_bytes()
    try:
        weights.write_bytes(old[:-3] + bytes([old[-3] ^ 1]) + old[-2:])
        assert finished.stale() == BASE
        finished.run("prepare_base_model")
        assert finished.stale() == ROLLOUTS | EVALUATE_ALL
    finally:
        weights.write_bytes(old)
        finished.run("prepare_base_model")
    assert finished.stale() == NOTHING


def test_touched_scripts_sources_and_inputs_change_nothing(finished):
    run = finished.folder
    for path in [*run.glob("workflow/scripts/*.py"), *run.glob("src/fofg/**/*.py"), *run.glob("rules/*.smk"), run / "Snakefile"]:
        os.utime(path)
    for path in [*run.glob("resources/tiny-base/*"), *run.glob("config/*.yaml"), *run.glob("envs/*")]:
        os.utime(path)
    assert finished.stale() == NOTHING
