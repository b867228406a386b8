"""The transfer to Countdown: a finished small run, a killed one, and what a changed key reruns."""

import os
import signal
from collections import Counter

import pyarrow.parquet as pq
import pytest
from checkouts import Checkout
from configs import nested
from conftest import copy, run_once
from test_exact_reruns import DEFAULT, FREE_KEYS, SMALL, at_once, check, each, rollout_keys, section, selection_keys, write
from test_kill_and_resume import Kill, remove, results, start_until_ready

from fofg.config import keys, read

pytestmark = pytest.mark.slow

SMALL_COUNTDOWN = SMALL.with_name("small_countdown.yaml")
COUNTDOWN, MERGED = "data/reasoning_gym/countdown", "data/string_countdown_task/stage1_rft_data"
MODELS = "checkpoints/string-countdown-task"
KEY_FILES = [
    *(f"{COUNTDOWN}/train_{integers}number.parquet" for integers in (2, 3, 4)),
    f"{COUNTDOWN}/stage1/rollout.parquet",
    *(f"{MERGED}/{split}.parquet" for split in ("train", "test")),
    *(f"{MODELS}/{model}/model.safetensors" for model in ("stage1-rft", "stage2-rl-level1", "stage2-rl-level1to2")),
    *(f"results/countdown_accuracy.{kind}" for kind in ("parquet", "csv", "md")),
    *(f"results/figures/countdown_accuracy.{kind}" for kind in ("svg", "png")),
]

# Jobs are tuples of a rule and its wildcards, as in test_exact_reruns.py.
MULTI = ("multi-base", "multi-base-rl-level1", "multi-base-rl-level1to2")
STRINGS = "stage2-rl-level1to2"
TABLE = {("summarize_countdown",), ("plot_countdown_accuracy",)}


def scored(*models):
    return {("score_countdown", model) for model in models} | TABLE


def answered(*models, integers=(3, 4)):
    return {("generate_countdown_test_rollouts", model, number) for model in models for number in integers} | scored(*models)


MULTI_RL = {("train_multi_base_rl", "level1"), ("train_multi_base_rl", "level1to2")} | answered(*MULTI[1:])
SFT = {("train_multi_base",)} | answered(MULTI[0]) | MULTI_RL
MERGE = {("merge_examples",)} | SFT
SELECTION = {("select_countdown_data",)} | MERGE
GATHER = {("gather_countdown_rollouts",)} | SELECTION
ROLLOUTS = {("generate_countdown_rollouts", shard) for shard in (0, 1)} | GATHER
TRAIN = {("create_countdown_problems", 2)}
TEST = {("create_countdown_problems", number) for number in (3, 4)} | answered(*MULTI, STRINGS)
STRING_RL = {("train_rl", "level1to2")} | answered(STRINGS)
STRING_SFT = {("train_sft",)} | STRING_RL
STRING_SELECTION = {("select_rft_data",)} | STRING_SFT | MERGE
#: Key -> another value, and the jobs of the target countdown that it reruns.
EXPECTED = {
    "countdown.seed": (7, TRAIN | ROLLOUTS | TEST),
    "countdown.template": ("{numbers} -> {target}", TRAIN | ROLLOUTS | TEST),
    "countdown.train": (36, TRAIN | {("generate_countdown_rollouts", 2)} | GATHER),
    "countdown.levels": ([4, 5], {("create_countdown_problems", 5)} | answered(*MULTI, STRINGS, integers=(5,))),
    "countdown.test": (5, TEST),
    **rollout_keys("countdown.rollouts", ROLLOUTS),
    **selection_keys("countdown.rft", SELECTION),
    **section("countdown.mixture", MERGE, strings=3, countdown=2, seed=9),
    "countdown.curricula": (["level2"], {("train_multi_base_rl", "level2")} | answered("multi-base-rl-level2")),
    "countdown.models": (["base"], answered("base")),
    **rollout_keys("countdown.test_rollouts", answered(*MULTI, STRINGS)),
    # Keys of both tasks.
    "scoring.answer_rule": ("lenient", STRING_SELECTION),
    "stage1.rft.seed": (9, STRING_SELECTION),
    "stage1.sft.seed": (9, STRING_SFT | SFT),
    "stage2.rl.seed": (9, STRING_RL | MULTI_RL),
    "stage2.rl.curricula.level1": (
        [{"steps": 4, "mixture": {"stage2_level1": 1}}],
        {("train_multi_base_rl", "level1")} | answered(MULTI[1]),
    ),
    "figures.dpi": (50, {("plot_countdown_accuracy",)}),
}
#: Keys of strings that this target does not depend on, of all kinds.
UNTOUCHED = {
    **each(
        "datasets", **{"stage1_level1.test": 9, "stage2_level1to2.train": 49, "stage2_level1to8.test": 9, "stage2_passk.test": 5}
    ),
    **each("stage2.rft", **{"chunk_seed": 9, "rollouts.seed": 9, "selection.seed": 9, "sft.seed": 9}),
    **each("evaluation", **{"greedy": False, "rollouts.samples": 3}),
    **each("passk", **{"shard_size": 6, "rollouts.samples": 3}),
    "stage2.rl.curricula.level2": [{"steps": 2, "mixture": {"stage2_level1": 1}}],
    "failures.levels": [1, 8],
    "tiny_base.seed": 9,
}


@pytest.fixture(scope="session")
def transferred(tmp_path_factory) -> Checkout:
    """A finished small run of the target. Tests must not change its files."""
    return run_once(tmp_path_factory, "transferred", ("countdown",), (SMALL, SMALL_COUNTDOWN))


def test_key_outputs_have_the_originals_paths_and_rows_their_source(transferred):
    assert [name for name in KEY_FILES if not (transferred.folder / name).is_file()] == []
    for split in ("train", "test"):
        sources = Counter(pq.read_table(transferred.folder / MERGED / f"{split}.parquet")["source"].to_pylist())
        for source, folder in {"strings": "data/string_task/stage1_level1", "countdown": f"{COUNTDOWN}/stage1"}.items():
            rows = pq.read_metadata(transferred.folder / folder / f"rft_data/{split}.parquet").num_rows
            assert sources[source] == rows > 0
    table = pq.read_table(transferred.folder / "results/countdown_accuracy.parquet").to_pylist()
    assert [(row["model"], row["level"], row["samples"]) for row in table] == [
        (model, level, 8) for model in (*MULTI, STRINGS) for level in (3, 4)
    ]


def test_a_run_killed_while_it_merges_or_trains_resumes_to_the_same_results(transferred, tmp_path):
    copied = copy(transferred, tmp_path / "fofg")
    remove(copied.folder, ("data/string_countdown_task", MODELS, "logs", "results/countdown*"))
    for kill in (
        Kill("countdown", "logs/merge_examples.log"),
        Kill("countdown", f"{MODELS}/.resume/stage1-rft/*/checkpoint-*.pt", how="snakemake"),
    ):
        run = start_until_ready(copied, kill)
        (os.killpg if kill.how == "session" else os.kill)(run.pid, signal.SIGKILL)
        run.wait()
    copied.run("countdown")
    assert "resuming after step" in (copied.folder / "logs/train_sft/multi-base.log").read_text()
    assert results(copied.folder) == results(transferred.folder)


def test_the_table_has_every_key():
    every = {key for key in keys(read([DEFAULT])) if key.startswith("countdown.")}
    assert every == {key for key in EXPECTED if key.startswith("countdown.")}


@pytest.mark.parametrize("keys", at_once(EXPECTED), ids=lambda keys: keys[0])
def test_a_changed_key_reruns_what_depends_on_it(transferred, tmp_path, keys):
    changed = write(tmp_path / "changed.yaml", nested({key: EXPECTED[key][0] for key in keys}))
    check(transferred, [changed], keys, EXPECTED[keys[0]][1], ["countdown"])


def test_keys_of_strings_alone_and_of_speed_rerun_nothing(transferred, tmp_path):
    """All at once: one that reran a job would do so here too."""
    changed = write(tmp_path / "changed.yaml", nested(UNTOUCHED | FREE_KEYS))
    assert transferred.stale([changed], ["countdown"]) == {}


def test_keys_of_countdown_rerun_nothing_of_the_string_experiment(finished, tmp_path):
    changed = {key: value for key, (value, _) in EXPECTED.items() if key.startswith("countdown.")}
    assert finished.stale([write(tmp_path / "changed.yaml", nested(changed))]) == {}
