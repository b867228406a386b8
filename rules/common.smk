"""Paths and specs: everything that rules take from the configuration. Algorithms live in src/fofg."""

import glob
import os.path
import shlex
import sys

sys.path.insert(0, os.path.join(workflow.basedir, "src"))

from snakemake.exceptions import WorkflowError

from fofg import stages
from fofg.config import load
from fofg.errors import UserError
from fofg.files import count_rows, write_json
from fofg.supervision import record_run

try:
    settings = load(config)
    STAGE1_PROBLEMS = settings.datasets.stage1_level1.train
    if settings.use.stage1_problems:
        STAGE1_PROBLEMS = count_rows(settings.use.stage1_problems)
except UserError as error:
    raise WorkflowError(str(error))

# A failure anywhere in a pipe fails the job. FOFG_SUPERVISOR: a program stops by itself, saving its state, when the Snakemake that
# started it is gone.
HERE = shlex.quote(workflow.basedir)
shell.prefix(
    f"set -euo pipefail; export SCRIPTS={HERE}/workflow/scripts FOFG_SUPERVISOR=$PPID PYTHONPATH={HERE}/src"
    "${{PYTHONPATH:+:$PYTHONPATH}} "
    "OMP_WAIT_POLICY=PASSIVE MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=17179869184 "
    "TOKENIZERS_PARALLELISM=false HF_HUB_DISABLE_TELEMETRY=1 TQDM_MININTERVAL=2; "
)
ENVIRONMENT = f"{workflow.basedir}/envs/cpu.yaml"
CAPTIONS = f"{workflow.basedir}/report"
EVALUATED = ["base", "stage1-rft"]
DEFINITIONS = ["visible", "hidden"]


def run_path(path):
    """A path under the run's root."""
    return os.path.normpath(os.path.join(settings.run_dir, path))


def figure(stem):
    """Files of one figure, an extension each."""
    return [run_path(f"results/figures/{stem}.{extension}") for extension in settings.figures.formats]


# --- models ---------------------------------------------------------------------------------------------------------


def model_folder(model):
    """Folder of a model: the base, one that a stage trains, or the user's own in its place."""
    if model == "base":
        return run_path("checkpoints/base")
    if model == "stage1-rft" and settings.use.stage1_checkpoint:
        return settings.use.stage1_checkpoint
    return run_path(f"checkpoints/string-task/{model}")


def local_model_files(folder):
    """Files of a model folder as they lie; none for a model of the hub."""
    patterns = ("*.json", "*.jinja", "*.safetensors", "*.model")
    return sorted(path for pattern in patterns for path in glob.glob(os.path.join(folder, pattern)))


def model_files(model):
    """Files whose change means another model. The base model's weights are links: its source file speaks for them."""
    folder = model_folder(model)
    if model == "stage1-rft" and settings.use.stage1_checkpoint:
        return local_model_files(folder) or [f"{folder}/config.json"]
    weights = "source.json" if model == "base" else "model.safetensors"
    return [f"{folder}/{name}" for name in (weights, "config.json", "tokenizer.json", "chat_template.jinja")]


def base_model_files(wildcards):
    return local_model_files(settings.base_model)


def evaluated_files(wildcards):
    return model_files(wildcards.model)


# --- problems and roll-outs -----------------------------------------------------------------------------------------


def problems_file(dataset, split):
    return run_path(f"data/string_task/{dataset}/{split}.parquet")


def stage1_problems(split):
    """Stage-1 problems: made, or the user's own."""
    if split == "train" and settings.use.stage1_problems:
        return settings.use.stage1_problems
    return problems_file("stage1_level1", split)


def stage1_shards(pattern):
    """Files of all shards of the Stage-1 problems."""
    return expand(run_path(pattern), shard=range(stages.shard_count(settings, STAGE1_PROBLEMS)))


def problem_shards(wildcards):
    return stage1_shards("data/string_task/stage1_level1/problems/{shard}.parquet")


def rollout_problems(wildcards):
    """A shard's own file, so that more problems leave the old shards alone; or the user's one file."""
    return settings.use.stage1_problems or problem_shards(wildcards)[int(wildcards.shard)]


def rollout_shards(wildcards):
    return stage1_shards("data/string_task/stage1_level1/rollouts/{shard}.parquet")


# --- Stage 1 --------------------------------------------------------------------------------------------------------


def stage1_rft_data(split):
    """Stage-1 training examples: selected, or the user's own."""
    folder = settings.use.stage1_rft_data or run_path("data/string_task/stage1_level1/rft_data")
    return f"{folder}/{split}.parquet"


def stage1_selection_results():
    """What selection reports; nothing when the examples are the user's own."""
    if settings.use.stage1_rft_data:
        return []
    return [
        run_path("data/string_task/stage1_level1/rft_data/selection.json"),
        *figure("stage1_selection"),
    ]


def stage1_training_results():
    """What training reports; nothing when the model is the user's own."""
    return [] if settings.use.stage1_checkpoint else figure("stage1_training")


def verdict_arguments(wildcards, input):
    """``model/definitions=file`` for each file of verdicts."""
    names = (f"{model}/{definitions}" for model in EVALUATED for definitions in DEFINITIONS)
    return [f"{name}={path}" for name, path in zip(names, input.verdicts)]


def speed_only(value):
    """A parameter that changes speed, not results: Snakemake does not compare functions of the output."""
    return lambda wildcards, output: value


# --- specs: functions, since Snakemake would read the braces of JSON as wildcards ---------------------------------------------------------------------------------


def fixed(spec):
    """A spec that is the same for all jobs of a rule."""
    return lambda wildcards: spec.text()


def problems_spec(wildcards):
    return stages.create_problems(settings, wildcards.dataset, wildcards.split).text()


def problem_shard_spec(wildcards):
    return stages.create_problem_shard(settings, "stage1_level1", int(wildcards.shard)).text()


def rollout_spec(wildcards):
    return stages.generate_rollouts(settings, int(wildcards.shard), STAGE1_PROBLEMS).text()


def gather_spec(wildcards):
    return stages.gather_rollouts(settings, STAGE1_PROBLEMS).text()


def evaluation_spec(wildcards):
    return stages.generate_evaluation_rollouts(settings, wildcards.definitions).text()


def model_input_folder(wildcards, input):
    return os.path.dirname(input.model[0])


def output_folder(wildcards, output):
    return os.path.dirname(output[0])


def output_stem(wildcards, output):
    """Path of a figure without its extension."""
    return os.path.splitext(output[0])[0]


wildcard_constraints:
    dataset="|".join(type(settings.datasets).model_fields),
    split="train|test",
    shard=r"\d+",
    definitions="|".join(DEFINITIONS),
    model="|".join(EVALUATED),


onstart:
    record_run(".snakemake")
    write_json(run_path("results/config.json"), settings.model_dump(mode="json"))
