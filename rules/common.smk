"""What all rules share: settings, paths of the run, common parameters."""

import atexit
import difflib
import glob
import json
import math
import os
import re
import shlex
import shutil
import sys
from functools import cache, partial
from operator import attrgetter
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.types import DeploymentMethod

if not os.path.isdir(f"{CHECKOUT}/src/fofg"):
    raise WorkflowError(f"{CHECKOUT}: the workflow runs from a checkout; clone the repository and name the path of its Snakefile")
sys.path.insert(0, f"{CHECKOUT}/src")

from fofg import changes, failed_jobs, names, preflight, provenance, specs
from fofg.config.seeds import with_seed
from fofg.sweeps import Sweep, needed
from fofg.runtime import gpus, run_registry, slurm
from fofg.config import DEFAULT, GRPOConfig, Selection, Warmup, canonical, load, merge, read
from fofg.models.model_files import INDEX, WHOLE, digest, in_shards
from fofg.errors import UserError, explain
from fofg.data.files import count_rows
from fofg.models import check_name, is_here
from fofg.models.weights import relink
from fofg.resources import Estimate, estimate_merged, estimate_rl, estimate_rollouts, estimate_sft, estimate_warmup
from fofg.report.versions import installed
from fofg.tasks.task import task_variables

try:
    read(workflow.configfiles)  # Snakemake silently takes the last of two equal keys
    if not workflow.modifier.is_main_snakefile():
        # Snakemake does not lay a module's `config:` over the configfile.
        overlay, config = config, read([DEFAULT])
        merge(config, overlay)
    settings = load(config)
    SWEEP = Sweep(config, settings)
    OWN_STAGE1_PROBLEMS = settings.use.stage1_problems and specs.num_problems("use.stage1_problems", settings.use.stage1_problems)
    OWN_EVALUATION, EVALUATION_PROBLEMS = specs.evaluation_problems(settings, "evaluation")
    OWN_PASSK, PASSK_PROBLEMS = specs.evaluation_problems(settings, "passk")
    STAGE1_EXAMPLES = None  # as many as selection keeps
    if settings.use.stage1_rft_data:
        STAGE1_EXAMPLES = count_rows(specs.example_files(settings.use.stage1_rft_data)["train"])
    os.environ.update(TASK := task_variables(settings.problems))  # reads the user's own rows
    preflight.check(settings)
    SWEEP.check()
    TASK_SOURCE = specs.task(settings)  # a digest of the user's own task
except UserError as error:
    raise WorkflowError(str(error))

# Snakemake ignores a workflow profile that does not exist, and would run everything on this machine. With `--directory`, the
# folder that it was looked for in is known from PWD only.
for option, profile in zip(sys.argv, sys.argv[1:]):
    if option == "--workflow-profile" and profile != "none":
        folders = [folder for start in (os.getcwd(), os.getenv("PWD", "")) for folder in (start, f"{start}/profiles")]
        if not any(os.path.exists(os.path.join(folder, profile)) for folder in [*folders, f"{workflow.basedir}/profiles"]):
            known = sorted(glob.glob(f"{CHECKOUT}/profiles/*"))
            raise WorkflowError(f"--workflow-profile: no {profile}/config.yaml; there are {', '.join(known)}")

# Jobs run the Python that runs Snakemake, or the one that FOFG_PYTHON names, whatever is first on PATH; under `--sdm`, the one of
# the conda environment or the image.
PYTHON = shutil.which(os.getenv("FOFG_PYTHON") or sys.executable)
if not PYTHON:
    raise WorkflowError(f"FOFG_PYTHON: no program {os.getenv('FOFG_PYTHON')}; name an environment's Python, or unset it")
PYTHON = os.path.abspath(PYTHON)
DEPLOYMENT = workflow.deployment_settings.deployment_method
OWN_PYTHON = DeploymentMethod.CONDA in DEPLOYMENT or (settings.container and DeploymentMethod.APPTAINER in DEPLOYMENT)
#: Whether jobs run in this Python, so that what it lacks is known before they start.
THIS_PYTHON = not OWN_PYTHON and PYTHON == os.path.abspath(sys.executable)


def warn(message):
    """Log a warning; a dry run, which may print thousands of lines after it, ends with it."""
    if workflow.output_settings.dryrun:
        atexit.register(print, f"warning: {message}", file=sys.stderr)
    else:
        logger.warning(message)


if workflow.is_main_process and THIS_PYTHON:
    for message in preflight.missing_packages(settings):
        warn(message)
ENVIRONMENT = f"{CHECKOUT}/envs/cpu.yaml"
DIGESTS = ".snakemake/fofg-digests.json"
CAPTIONS = f"{CHECKOUT}/report"
#: What prompts show of the definitions.
DEFINITIONS = ["visible", "hidden"]
DECODINGS = ["sampled", "greedy"] if settings.evaluation.greedy else ["sampled"]
#: The evaluation's problems among those that models are tested with; the others are evaluation.splits.
HELD_OUT = names.HELD_OUT
MODELS = settings.models()
CURRICULA = list(settings.stage2.rl.curricula)
RFT_MODELS = [model for model in MODELS if model.startswith(names.RFT)]
RL_MODELS = [model for model in MODELS if model.startswith(names.RL)]
FIRST_FORMAT = f".{settings.figures.formats[0]}"


def in_run(path):
    return os.path.normpath(os.path.join(settings.run_dir, path))


#: Beginning of the paths of a seed's files -> the seed. Seed 0 has the run's own folder.
VARIANTS = {names.variant(seed): seed for seed in settings.seeds}
#: Wildcard of a sweep's points, with which all paths begin; none without a sweep. The empty one is the run itself.
SWEPT = "{swept}" if settings.sweep else ""
#: Folders of what every seed makes anew.
OF_VARIANT = {
    name: in_run(f"{SWEPT}{{variant}}{folder}")
    for name, folder in {
        "variant_data": names.DATA,
        "models": names.MODELS,
        "variant_countdown": names.COUNTDOWN_DATA,
        "merged": names.MERGED_DATA,
        "multi": names.MULTI_MODELS,
        "variant_results": "results",
        "variant_logs": "logs",
        "variant_benchmarks": "benchmarks",
    }.items()
}


pathvars:
    **OF_VARIANT,
    # Of all seeds together.
    data=in_run(f"{SWEPT}{names.DATA}"),
    checkpoints=in_run(f"{SWEPT}{names.CHECKPOINTS}"),
    countdown=in_run(f"{SWEPT}{names.COUNTDOWN_DATA}"),
    results=in_run(f"{SWEPT}results"),
    logs=in_run(f"{SWEPT}logs"),
    benchmarks=in_run(f"{SWEPT}benchmarks"),
    # Of all points of a sweep together.
    all_results=in_run("results"),
    all_logs=in_run("logs"),
    all_benchmarks=in_run("benchmarks"),


@cache
def configured(swept, variant):
    """Return the configuration of a sweep's point, with a seed's own seeds."""
    return with_seed(SWEEP.settings(swept), VARIANTS.get(variant, 0))


def settings_of(wildcards):
    """Return the configuration of a job: that of its point of the sweep, with its seed."""
    return configured(wildcards.get("swept", ""), wildcards.get("variant", ""))


def of_variant(key, model=None):
    """Return a function of the wildcards: a section of the job's configuration.

    ``model``: a class of settings that the section extends, and is reduced to.
    """

    def section(wildcards):
        value = attrgetter(key)(settings_of(wildcards))
        return specs.part(model, value) if model else value

    return section


#: What grades responses: the rule, and the source of the user's own task.
GRADING = {"answer_rule": of_variant("scoring.answer_rule"), **TASK_SOURCE}


def tracked(section=None, code=1, **sections):
    """Return a parameter with everything that determines a job's result: sections of the configuration, as canonical JSON.

    Increase ``code`` when new code changes results. A section may be a function of the wildcards. Snakemake reruns a job if this
    text differs from that of the last run. It is a function because Snakemake takes braces in a string for wildcards.
    """

    def spec(wildcards):
        values = {name: value(wildcards) if callable(value) else value for name, value in sections.items()}
        return canonical(section(wildcards) if callable(section) else section, code=code, **values)

    return spec


def flags(**values):
    """Return arguments, such as ``--micro-batch-size 4``, that affect speed but no result. True: the flag alone; None or []: nothing.

    A value may be a function of the wildcards. Snakemake does not compare parameters that are functions of the output.
    """

    def arguments(wildcards, output):
        words = []
        for name, value in values.items():
            value = value(wildcards) if callable(value) else value
            if value is not None and value is not False and value != []:
                words.append(f"--{name.replace('_', '-')}")
                items = value if isinstance(value, list) else [] if value is True else [value]
                words += [item.text() if hasattr(item, "text") else str(item) for item in items]
        return shlex.join(words)

    return arguments


def named(key, names):
    """Return arguments NAME=FILE for the input or output files of a key. ``names`` may be a function of the wildcards."""

    def arguments(wildcards, input, output):
        each = names(wildcards) if callable(names) else names
        return [f"{name}={path}" for name, path in zip(each, input.get(key) or output.get(key), strict=True)]

    return arguments


wildcard_constraints:
    dataset="|".join(settings.datasets),
    split="train|test",
    shard=r"\d+",
    iteration=r"\d+",
    curriculum="|".join(CURRICULA),
    own="|".join(settings.use.models),
    definitions="|".join(DEFINITIONS),
    decoding="sampled|greedy",
    tested="|".join([HELD_OUT, *settings.evaluation.splits]),
    model="|".join(MODELS),
