"""A changed configuration key reruns exactly the jobs that depend on it."""

import os
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from checkouts import TARGETS
from configs import nested, value_of

from fofg.config import keys, load, read
from fofg.provenance import FREE

DEFAULT = Path(__file__).parents[2] / "config/default.yaml"
SMALL = Path(__file__).with_name("small.yaml")
pytestmark = pytest.mark.slow

# Jobs are tuples of a rule and its wildcards. The dependencies are written down here again, in the words of the experiment, so that
# a rule that lacks an input or a key is found.
RL = ("stage2-rl-level1", "stage2-rl-level2", "stage2-rl-level1to2")
ITERATIONS = (0, 1)
MODELS = ("base", "stage1-rft", "stage2-rft-iter0", "stage2-rft-iter1", *RL)
FIGURES = {
    ("plot_stage1_selection",),
    ("plot_stage1_training",),
    ("plot_stage1_accuracy",),
    ("plot_exposure",),
    ("plot_accuracy_by_level",),
    ("plot_learning_curves",),
    ("plot_training_dynamics",),
    ("plot_pass_at_k",),
    ("plot_failures",),
}
STAGE1_SCORES = {("score_rollouts", model, shown) for model in MODELS[:2] for shown in ("visible", "hidden")}
STAGE1_TABLE = {("summarize_stage1",), ("plot_stage1_accuracy",)}
ACCURACY_TABLE = {("summarize_accuracy",), ("plot_accuracy_by_level",), ("plot_learning_curves",), ("write_summary",)}
FAILURE_TABLE = {("summarize_failures",), ("plot_failures",), ("write_summary",)}
PASSK_TABLE = {("summarize_passk",), ("plot_pass_at_k",), ("write_summary",)}
DESCRIPTIONS = {("describe_datasets",), ("plot_exposure",), ("write_summary",)}
SAMPLES = {("write_samples",)}
LINKS = {("link_iteration_data",), ("link_iteration_model",)}
TINY = {("build_tiny_base",)}
NOTHING = set()


def stage1_test(*models):
    """Evaluation on Stage 1's test problems."""
    shown = [(model, definitions) for model in models for definitions in ("visible", "hidden")]
    rollouts = {("generate_stage1_test_rollouts", *one) for one in shown}
    return rollouts | {("score_rollouts", *one) for one in shown} | STAGE1_TABLE | SAMPLES


def classified(*models):
    return {("classify_failures", model) for model in models} | FAILURE_TABLE


def scored(*models):
    """Verdicts on the held-out problems, and tables of them: the differences between some models are tested, too."""
    tested = {("compare_models",)} if {*models} - {"base", "stage0", "stage2-rft-iter0"} else set()
    return {("score_held_out", model) for model in models} | ACCURACY_TABLE | tested


def held_out(*models, decodings=("sampled", "greedy")):
    """Evaluation on the held-out problems."""
    rollouts = {("generate_held_out_rollouts", model, decoding) for model in models for decoding in decodings}
    return rollouts | scored(*models) | (classified(*models) | SAMPLES if "sampled" in decodings else set())


def counted(*models):
    return {("count_passk", model) for model in models} | PASSK_TABLE


def passk(*models):
    shards = {("generate_passk_rollouts", model, shard) for model in models for shard in (0, 1)}
    return shards | counted(*models)


def tuned_iteration(iteration):
    """An RFT iteration's training, and what depends on its model: its evaluation and the next iteration."""
    jobs = {("train_iteration", iteration)} | held_out(f"stage2-rft-iter{iteration}") | {("link_iteration_model",)}
    return jobs | (rolled_out_iteration(iteration + 1) if iteration + 1 in ITERATIONS else set())


def selected_iteration(iteration):
    return {("select_iteration_data", iteration), ("link_iteration_data",)} | tuned_iteration(iteration)


def rolled_out_iteration(iteration):
    shards = {("generate_iteration_rollouts", iteration, shard) for shard in (0, 1)}
    return shards | {("gather_iteration_rollouts", iteration)} | selected_iteration(iteration)


def chunks():
    return {("create_chunk", iteration) for iteration in ITERATIONS} | rolled_out_iteration(0)


def trained(*models):
    """Reinforcement learning, and the evaluation of its models."""
    return {("train_rl", model) for model in models} | {("plot_training_dynamics",)} | held_out(*models)


STAGE1_MODEL = stage1_test("stage1-rft") | held_out("stage1-rft") | passk("stage1-rft") | rolled_out_iteration(0) | trained(*RL)
SFT = {("train_sft",), ("plot_stage1_training",)} | STAGE1_MODEL
SELECTION = {("select_rft_data",), ("plot_stage1_selection",)} | SFT
GATHER = {("gather_rollouts",)} | SELECTION
ROLLOUTS = {("generate_rollouts", shard) for shard in (0, 1)} | GATHER
BASE_MODEL = stage1_test("base") | held_out("base") | passk("base") | ROLLOUTS
BASE = {("prepare_base_model",)} | BASE_MODEL
ENGINE = BASE_MODEL | STAGE1_MODEL
#: What switching on the warm-up makes: it is off in the small run.
WARMUP = {("create_warmup_examples",), ("train_warmup",)}
WITH_WARMUP = WARMUP | stage1_test("stage0") | held_out("stage0") | ROLLOUTS
OF_STAGE1_TRAIN = {("create_problems", "stage1_level1", "train")} | ROLLOUTS


def made(dataset, split="train"):
    return {("create_problems", dataset, split)} | DESCRIPTIONS


OF_LEVEL1 = made("stage2_level1") | trained("stage2-rl-level1", "stage2-rl-level1to2") | chunks()
OF_LEVEL2 = made("stage2_level2") | trained("stage2-rl-level2", "stage2-rl-level1to2")
#: Only a description: the small run's third curriculum mixes the first two datasets.
OF_LEVEL1TO2 = made("stage2_level1to2")
OF_EVALUATION = made("stage2_level1to8", "test") | held_out(*MODELS)
#: Only a measurement: RL jobs sample these problems themselves, and other ones do not change a model.
OF_VALIDATION = made("stage2_validation", "test")
OF_PASSK = made("stage2_passk", "test") | passk("base", "stage1-rft")
OF_STAGE1_TEST = made("stage1_level1", "test") | stage1_test("base", "stage1-rft")
OF_STAGE2 = OF_LEVEL1 | OF_LEVEL2 | OF_LEVEL1TO2 | OF_EVALUATION | OF_VALIDATION | OF_PASSK
PROBLEMS = OF_STAGE1_TRAIN | OF_STAGE2 | OF_STAGE1_TEST
EVERYTHING = PROBLEMS | BASE | FIGURES | LINKS | TINY | {("record_versions",)}
ANSWERS = SELECTION | STAGE1_SCORES | STAGE1_TABLE | scored(*MODELS) | counted("base", "stage1-rft") | selected_iteration(0)


def count(jobs):
    """Return the number of jobs by rule."""
    return dict(Counter(job[0] for job in jobs))


def each(prefix, **values):
    return {f"{prefix}.{key}": value for key, value in values.items()}


def section(prefix, jobs, **values):
    """Return the keys of a section: another value of each, and the jobs that it reruns."""
    return {key: (value, jobs) for key, value in each(prefix, **values).items()}


def rollout_keys(prefix, jobs, **others):
    values = {"max_prompt_tokens": 300, "max_response_tokens": 65, "long_prompts": "skip"}
    sampling = {"samples": 3, "temperature": 0.9, "top_p": 0.9, "seed": 9}
    return section(prefix, jobs, **values) | section(prefix, others.get("sampling", jobs), **sampling)


def selection_keys(prefix, jobs):
    values = {"keep_truncated": True, "drop_duplicates": True, "max_per_problem": 1, "max_tokens": 60}
    return section(prefix, jobs, **values, turns_per_example=2, test_rows=2, seed=9)


def sft_keys(prefix, jobs):
    values = {"engine": "verl", "learning_rate": 1e-4, "epochs": 3, "batch_size": 8, "last_batch": "drop", "max_length": 900}
    values |= {"too_long": "skip", "warmup_ratio": 0.5, "schedule": "linear", "weight_decay": 0.1, "betas": [0.9, 0.95]}
    values |= {"loss_agg_mode": "seq-mean-token-mean", "max_grad_norm": 0.5, "precision": "float32", "seed": 9}
    return section(prefix, jobs, **values)


def dataset_keys(name, used, rows, jobs, levels=(3, 3)):
    """Return the keys of a dataset; ``used``: the split that jobs read, of which there are then ``rows``."""
    prefix, other = f"datasets.{name}", {"train": "test", "test": "train"}[used]
    unused = {f"{prefix}.{other}": (4, made(name, other))}
    return section(prefix, jobs, stage=1, levels=list(levels), **{used: rows}) | unused


EVALUATION = stage1_test("base", "stage1-rft") | held_out(*MODELS)
SAMPLED_EVALUATION = stage1_test("base", "stage1-rft") | held_out(*MODELS, decodings=["sampled"])
#: Key -> another value, and the jobs that it reruns. {run} is the finished run's folder.
EXPECTED = {
    "run_dir": ("elsewhere", EVERYTHING),
    # All of these are the new seed's, but for the tables and figures of all seeds.
    "seeds": ([0, 1], ROLLOUTS - SAMPLES),
    "base_model": ("someone/another-model", BASE),
    "plain_prompt": (False, BASE),
    "problems.pools": ({"train": ["sort_chars"], "test": ["mirror_str"]}, OF_STAGE2),
    **section("problems", PROBLEMS, task="toy_task:Even", sampler="paper", seed=7, input_length=[4, 6], max_output_length=40),
    "problems.data_source": ("my-lab/strings", PROBLEMS),
    "problems.docstrings": (True, OF_STAGE1_TRAIN | OF_STAGE1_TEST),
    "problems.template": ("{code}\n\nmain_solution({input})?", PROBLEMS | TINY),
    **section("datasets.stage1_level1", OF_STAGE1_TRAIN | DESCRIPTIONS | OF_STAGE1_TEST, stage=2, levels=[2, 2]),
    "datasets.stage1_level1.train": (36, made("stage1_level1") | {("generate_rollouts", 2)} | GATHER),
    "datasets.stage1_level1.test": (9, OF_STAGE1_TEST),
    **dataset_keys("stage2_level1", "train", 49, OF_LEVEL1),
    **dataset_keys("stage2_level2", "train", 9, OF_LEVEL2),
    **dataset_keys("stage2_level1to2", "train", 49, OF_LEVEL1TO2),
    **dataset_keys("stage2_level1to8", "test", 9, OF_EVALUATION),
    **dataset_keys("stage2_validation", "test", 9, OF_VALIDATION, levels=(1, 2)),
    **dataset_keys("stage2_passk", "test", 5, OF_PASSK),
    "scoring.scheme": ("binary", trained(*RL)),
    "scoring.answer_rule": ("lenient", ANSWERS | classified(*MODELS) | SAMPLES),
    "stage0.examples": (8, WITH_WARMUP),
    **rollout_keys("stage1.rollouts", ROLLOUTS),
    "stage1.rft.keep_definitions": (True, SELECTION),
    **selection_keys("stage1.rft", SELECTION),
    **sft_keys("stage1.sft", SFT),
    "stage2.rft.num_iterations": (3, {("create_chunk", 2)} | rolled_out_iteration(2)),
    **section("stage2.rft", chunks(), dataset="stage2_level1to2", examples_per_iteration=17, chunk_seed=9),
    **rollout_keys("stage2.rft.rollouts", rolled_out_iteration(0)),
    **selection_keys("stage2.rft.selection", selected_iteration(0)),
    **sft_keys("stage2.rft.sft", tuned_iteration(0)),
    "stage2.rl.curricula.level1": ([{"steps": 4, "mixture": {"stage2_level1": 1}}], trained("stage2-rl-level1")),
    "stage2.rl.curricula.level2": ([{"steps": 2, "mixture": {"stage2_level1": 1}}], trained("stage2-rl-level2")),
    "stage2.rl.curricula.level1to2": (
        [{"steps": 2, "mixture": {"stage2_level1": 1, "stage2_level2": 2}}],
        trained("stage2-rl-level1to2"),
    ),
    **rollout_keys("stage2.rl.rollouts", trained(*RL)),
    **section("stage2.rl", trained(*RL), prompts_per_step=4, mini_batch_prompts=2, filter_groups=False, generation_prompts=5),
    **section("stage2.rl", trained(*RL), max_generation_batches=4, scale_rewards="none", loss_agg_mode="seq-mean-token-mean"),
    "stage2.rl.negative_weight": (0.5, trained(*RL)),
    **section("stage2.rl", trained(*RL), kl_coef=0.1, entropy_coef=0.1, clip_low=0.1, clip_high=0.3, learning_rate=1e-5),
    **section("stage2.rl", trained(*RL), warmup_steps=2, weight_decay=0.1, betas=[0.9, 0.95], max_grad_norm=0.5),
    **section("stage2.rl", trained(*RL), engine="verl", precision="float32", seed=9),
    "evaluation.dataset": ("stage2_passk", held_out(*MODELS)),
    "evaluation.splits": (
        ["stage2_validation"],
        {(rule, model) for rule in ("generate_held_out_rollouts", "score_split") for model in MODELS}
        | {("summarize_splits",), ("plot_accuracy_by_split",)},
    ),
    "evaluation.greedy": (False, scored(*MODELS)),
    **rollout_keys("evaluation.rollouts", EVALUATION, sampling=SAMPLED_EVALUATION),
    "passk.dataset": (
        "stage2_validation",
        passk("base", "stage1-rft") | {("generate_passk_rollouts", model, 2) for model in MODELS[:2]},
    ),
    "passk.models": (["base", "stage2-rl-level1"], passk("stage2-rl-level1")),
    "passk.shard_size": (6, {("generate_passk_rollouts", model, 0) for model in MODELS[:2]} | counted("base", "stage1-rft")),
    **rollout_keys("passk.rollouts", passk("base", "stage1-rft")),
    "failures.levels": ([1, 8], classified(*MODELS)),
    "samples.problems": (2, SAMPLES),
    **section("rollout_engine", ENGINE, name="vllm", dtype="bfloat16", options={"style": "loud"}),
    "rollout_engine.shard_size": (
        8,
        {("generate_rollouts", shard) for shard in (0, 1, 2)} | GATHER | rolled_out_iteration(0),
    ),
    "training.nodes": (2, SFT),
    **section("figures", FIGURES, formats=["png"], dpi=50, font_size=8, published=False),
    "use.stage1_problems": ("{run}/own.parquet", ROLLOUTS | DESCRIPTIONS),
    "use.stage1_rft_data": ("{run}/own_rft", SFT),
    "use.stage1_checkpoint": ("{run}/own_model", {("prepare_stage1_checkpoint",)} | STAGE1_MODEL),
    "use.stage2_rft_problems": ("{run}/own_stage2.parquet", chunks() | DESCRIPTIONS),
    "use.validation_problems": ("{run}/own_test.parquet", DESCRIPTIONS),
    "use.evaluation_problems": ("{run}/own_test.parquet", held_out(*MODELS) | DESCRIPTIONS),
    "use.passk_problems": ("{run}/own_passk.parquet", passk("base", "stage1-rft") | DESCRIPTIONS),
    "use.models": ({"mine": "{run}/own_model"}, {("prepare_own_model", "mine")} | held_out("mine")),
    **section("tiny_base", TINY, hidden_size=24, layers=2, heads=2, intermediate_size=24, steps=3, tokens_per_step=1024),
    **section("tiny_base", TINY, learning_rate=1e-3, matrix_learning_rate=1e-3, error_rate=0.1, seed=9),
    **section("tiny_base", TINY, nested_calls="none", countdown={"share": 0.5, "template": "{numbers} {target}"}),
}
#: The same of target stage0, in a run with warm-up.
WARMUP_KEYS = {
    **section("stage0", WARMUP, test_rows=2, skills="all", levels=[1, 2], seed=9),
    "problems.template": ("{code} {input}", WARMUP),
    **sft_keys("stage0.sft", {("train_warmup",)}),
}
#: Key -> another value; it changes speed, what is checked, or what is measured on the way, but no file.
FREE_KEYS = {
    "sweep": {"stage2.rl.learning_rate": [1e-4], "stage1.sft.learning_rate": [1e-4]},
    "container": "docker://fofg-gpu",
    "stage2.rft.on_empty_selection": "error",
    "stage2.rl.on_empty_step": "error",
    "stage2.rl.on_incomplete_step": "error",
    **each("stage2.rl.validation", every=2, dataset="stage1_level1", levels=[1, 1], problems=2, greedy=True),
    **each("rollout_engine", batch_size=7, threads=2, gpus=1, jobs_per_gpu=2),
    **each("training", gpus=1, threads=1, stage2_threads=2, micro_batch_size=2, save_every=5, rl_micro_batch_size=2),
    **each(
        "training",
        rl_save_every=5,
        pretraining_save_every=2,
        max_save_share=0.5,
        log_every=5,
        keep_rollouts=0,
        trackers=["tensorboard"],
    ),
    **each("training.verl", tokens_per_gpu=4096, offload=True, attention="varlen", fused_kernels=True, liger=True),
    **each("training.verl", tensor_parallel_size=2, gradient_checkpointing=False),
    **each("training.verl", gpu_memory_utilization=0.5, enforce_eager=True, torch_compile=True),
    **each("cluster", max_runtime=60, grace_period=60, resources={"train_sft": {"mem_mb": 5000, "runtime": 45}}),
    **each("plan", rollout_tokens_per_second=9.5, sft_tokens_per_second=9.5, rl_tokens_per_second=9.5, start_seconds=9.5),
    **each("plan", rl_step_seconds=9.5, mean_prompt_tokens=9.5, mean_response_tokens=9.5, generation_batches=9.5),
    **each("plan", kept_share=0.9, model_parameters=9, save_seconds=9.5, finish_seconds=9.5),
}
GPU = {"training": {"gpus": 1}}
VERL = GPU | {
    "stage1": {"sft": {"engine": "verl", "batch_size": 2, "last_batch": "drop"}},
    "stage2": {
        "rft": {"sft": {"engine": "verl", "batch_size": 2, "last_batch": "drop"}},
        "rl": {"engine": "verl", "on_empty_step": "error"},
    },
}
#: Key -> further settings that make its new value valid; alone they rerun nothing, or the same jobs.
BESIDE = {
    "stage0.sft.engine": GPU | {"stage0": {"sft": {"last_batch": "drop"}}},
    "stage1.sft.engine": GPU | {"stage1": {"sft": {"last_batch": "drop"}}},
    "stage2.rft.sft.engine": GPU | {"stage2": {"rft": {"sft": {"last_batch": "drop"}}}},
    "stage2.rl.engine": GPU | {"stage2": {"rl": {"on_empty_step": "error"}}},
    "rollout_engine.options": {"rollout_engine": {"name": "my_engines:Mine"}},
    "stage1.rft.keep_definitions": {},  # the spec has the template
    "training.nodes": VERL,
}


def write(path: Path, values: dict) -> Path:
    path.write_text(yaml.safe_dump(values))
    return path


def test_the_tables_have_every_key():
    """Those of Countdown are in test_transfer.py."""
    every = {key for key in keys(read([DEFAULT])) if not key.startswith("countdown.")}
    assert {*EXPECTED, *WARMUP_KEYS, *FREE_KEYS} == every and not EXPECTED.keys() & FREE_KEYS.keys()


def test_keys_that_rerun_nothing_are_not_compared_in_a_run_without_records():
    free = {key for key in {*EXPECTED, *WARMUP_KEYS, *FREE_KEYS} if any(f"{key}.".startswith(f"{one}.") for one in FREE)}
    assert free == {*FREE_KEYS, "run_dir", "training.nodes"}


#: Sections whose keys are those of a spec, too: those that rerun the same jobs are changed at once, and the dry run names each.
SECTIONS = re.compile(r"\.(rollouts|selection|sft|rl|mixture)$|^(stage0|stage1\.rft|countdown\.rft|tiny_base)$")


def at_once(expected, alone=()):
    """Return lists of keys to change at once."""
    groups = {}
    for key, (_, jobs) in expected.items():
        parent = key.rpartition(".")[0]
        groups.setdefault((parent, *sorted(jobs)) if SECTIONS.search(parent) and key not in alone else key, []).append(key)
    return groups.values()


def check(run, overlays, keys, jobs, targets=TARGETS):
    """Fail unless a dry run would start these jobs, and, for several keys, names each as changed."""
    assert load(read([DEFAULT, *run.small, *overlays])) != load(read([DEFAULT, *run.small]))
    stale, changed = run.dry_run(overlays, targets)
    assert stale == count(jobs)
    if len(keys) > 1:
        assert {key.rpartition(".")[2] for key in keys} <= {part for name in changed for part in name.split(".")}


@pytest.mark.parametrize("keys", at_once(EXPECTED, BESIDE), ids=lambda keys: keys[0])
def test_a_changed_key_reruns_what_depends_on_it(finished, tmp_path, keys):
    values = yaml.safe_load(yaml.safe_dump({key: EXPECTED[key][0] for key in keys}).replace("{run}", str(finished.folder)))
    overlays = [write(tmp_path / "beside.yaml", BESIDE.get(keys[0], {})), write(tmp_path / "changed.yaml", nested(values))]
    check(finished, overlays, keys, EXPECTED[keys[0]][1])


@pytest.mark.parametrize(
    ("dataset", "changes", "jobs"),
    [("stage2_level2", {"pairs": "seen"}, OF_LEVEL2), ("stage2_validation", {"functions": "train"}, OF_VALIDATION)],
)
def test_other_functions_and_pairs_rerun_what_has_problems_of_the_dataset(finished, tmp_path, dataset, changes, jobs):
    assert finished.stale([write(tmp_path / "changed.yaml", {"datasets": {dataset: changes}})]) == count(jobs)


def test_keys_of_speed_checks_and_measurements_rerun_nothing(finished, tmp_path):
    """All at once: one that reran a job would do so here too."""
    changed = write(tmp_path / "changed.yaml", nested(FREE_KEYS))
    before, after = (load(read([DEFAULT, SMALL, *overlays])) for overlays in ((), (changed,)))
    assert [key for key in FREE_KEYS if value_of(after, key) == value_of(before, key)] == []
    assert finished.stale([changed]) == {}


def test_a_finished_run_is_up_to_date_with_any_number_of_cores(finished):
    assert finished.stale() == {}
    assert finished.stale(cores=1) == {}


def test_deleted_problems_are_created_again_and_rollouts_kept(copied):
    (copied.folder / "data/string_task/stage1_level1/train.parquet").unlink()
    assert copied.stale() == count(made("stage1_level1") | STAGE1_TABLE)


def test_comments_and_key_order_rerun_nothing(finished, tmp_path):
    values = yaml.safe_load(SMALL.read_text())
    reordered = tmp_path / "reordered.yaml"
    reordered.write_text("# a comment\n" + yaml.safe_dump(dict(reversed(values.items())), sort_keys=False))
    assert finished.stale([reordered]) == {}


def test_new_base_weights_rerun_everything_made_from_them(copied):
    """Also if a run was killed right after it had prepared the base model; with the old weights back, nothing reruns."""
    weights = copied.folder / "resources/tiny-base/model.safetensors"
    old = weights.read_bytes()
    weights.write_bytes(old[:-3] + bytes([old[-3] ^ 1]) + old[-2:])
    assert copied.stale() == count(BASE)
    copied.run("prepare_base_model")
    assert copied.stale() == count(BASE_MODEL)
    weights.write_bytes(old)
    copied.run("prepare_base_model")
    assert copied.stale() == {}


def test_other_validation_problems_retrain_nothing_in_an_incomplete_copy(copied, tmp_path):
    """A run can be copied without its data."""
    (copied.folder / "data/string_task/stage2_validation/test.parquet").unlink()
    for number, change in enumerate(({"dataset": "stage2_passk"}, {"problems": 1, "levels": [2, 2]}, {"every": 0})):
        other = write(tmp_path / f"{number}.yaml", {"stage2": {"rl": {"validation": change}}})
        assert copied.stale([other]) == count(made("stage2_validation", "test"))


def test_keys_of_the_warmup_rerun_its_data_or_its_training(copied, tmp_path):
    on = tmp_path / "on.yaml"
    on.write_text("stage0: {examples: 8, test_rows: 1, sft: {batch_size: 4}}\n")
    copied.run("stage0", overlays=[on])
    assert copied.stale([on]) == count(WITH_WARMUP - WARMUP)
    for several in at_once(WARMUP_KEYS, BESIDE):
        changed = nested({key: WARMUP_KEYS[key][0] for key in several})
        overlays = [on, write(tmp_path / "beside.yaml", BESIDE.get(several[0], {})), write(tmp_path / "changed.yaml", changed)]
        check(copied, overlays, several, WARMUP_KEYS[several[0]][1], ["stage0"])


def test_touched_scripts_sources_and_inputs_rerun_nothing(copied):
    run = copied.folder
    for path in [*run.glob("workflow/scripts/*.py"), *run.glob("src/fofg/**/*.py"), *run.glob("rules/*.smk"), run / "Snakefile"]:
        os.utime(path)
    for path in [*run.glob("resources/tiny-base/*"), *run.glob("config/*.yaml"), *run.glob("envs/*")]:
        os.utime(path)
    assert copied.stale() == {}
