"""What all rules share: the settings, paths under the run's root, parameters that every program takes."""

import glob
import json
import math
import os
import re
import shlex
import shutil
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.types import DeploymentMethod

if not os.path.isdir(f"{CHECKOUT}/src/fofg"):
    raise WorkflowError(f"{CHECKOUT}: the workflow runs from a checkout; clone the repository and name the path of its Snakefile")
sys.path.insert(0, f"{CHECKOUT}/src")

from fofg import names, provenance, stages

from fofg.runtime import gpus, run_registry, slurm
from fofg.config import DEFAULT, canonical, load, merge, read
from fofg.digests import digest
from fofg.errors import UserError, explain
from fofg.data.files import count_rows
from fofg.models import check_name, relink
from fofg.resources import Estimate, estimate_rl, estimate_rollouts, estimate_sft, estimate_sft_on_rows, model_size
from fofg.report.versions import installed

try:
    read(workflow.configfiles)  # Snakemake takes the last of two equal keys and says nothing
    if not workflow.modifier.is_main_snakefile():
        # Snakemake does not lay a module's `config:` over the configfile.
        overlay, config = config, read([DEFAULT])
        merge(config, overlay)
    settings = load(config)
    STAGE1_PROBLEMS = settings.datasets["stage1_level1"].train
    if settings.use.stage1_problems:
        STAGE1_PROBLEMS = count_rows(settings.use.stage1_problems)
        if not STAGE1_PROBLEMS:
            raise UserError(
                f"use.stage1_problems: {settings.use.stage1_problems} has no problems; correct the path, or make it again"
            )
    if settings.use.stage1_rft_data:
        STAGE1_EXAMPLES = count_rows(f"{settings.use.stage1_rft_data}/train.parquet")
    model_size(settings)  # damaged weights are an error here, not in the middle of the graph
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

# Jobs run the Python that runs Snakemake, or the one that FOFG_PYTHON names, whatever is first on PATH; under `--sdm`, the one of the
# conda environment or the image. Other commands of an importing workflow keep theirs. `exec`: signals reach the program itself.
PYTHON = shutil.which(os.getenv("FOFG_PYTHON") or sys.executable)
if not PYTHON:
    raise WorkflowError(f"FOFG_PYTHON: no program {os.getenv('FOFG_PYTHON')}; name an environment's Python, or unset it")
PYTHON = os.path.abspath(PYTHON)
HERE = shlex.quote(CHECKOUT)
DEPLOYMENT = workflow.deployment_settings.deployment_method
PYTHON_FUNCTION = ""
if DeploymentMethod.CONDA not in DEPLOYMENT and not (settings.container and DeploymentMethod.APPTAINER in DEPLOYMENT):
    run_python = f'PATH={shlex.quote(os.path.dirname(PYTHON))}:$PATH exec {shlex.quote(PYTHON)} "$@"'
    PYTHON_FUNCTION = f'python() {{ if [[ ${{1-}} == "$SCRIPTS"* ]]; then {run_python}; fi; command python "$@"; }}; '
# A failure anywhere in a pipe fails the job. FOFG_SUPERVISOR: a program stops by itself, saving its state, when the Snakemake that
# started it is gone. A cluster sends SIGTERM to all processes of a job; tee stays to write down what the program says to that.
PREFIX = (
    'set -euo pipefail; tee() { (trap "" TERM; exec tee "$@"); }; '
    f"{PYTHON_FUNCTION}export SCRIPTS={HERE}/workflow/scripts FOFG_SUPERVISOR={os.getpid()} FOFG_SAVE_SECONDS={settings.cluster.grace_period} "
    f"PYTHONPATH={HERE}/src${{PYTHONPATH:+:$PYTHONPATH}} FOFG_TASK={settings.problems.task} "
    "OMP_WAIT_POLICY=PASSIVE MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=17179869184 "
    "TOKENIZERS_PARALLELISM=false HF_HUB_DISABLE_TELEMETRY=1 TQDM_MININTERVAL=2; "
)
ENVIRONMENT = f"{CHECKOUT}/envs/cpu.yaml"
DIGESTS = ".snakemake/fofg-digests.json"
CAPTIONS = f"{CHECKOUT}/report"
DEFINITIONS = ["visible", "hidden"]
DECODINGS = ["sampled", "greedy"] if settings.evaluation.greedy else ["sampled"]
MODELS = settings.models()
CURRICULA = list(settings.stage2.rl.curricula)
RFT_MODELS = [model for model in MODELS if model.startswith(names.RFT)]
LAST_ITERATION = settings.stage2.rft.num_iterations - 1


def run_path(path):
    """A path under the run's root."""
    return os.path.normpath(os.path.join(settings.run_dir, path))


for name in ("data", "checkpoints", "results", "logs", "benchmarks"):
    if workflow.modifier.path_modifier.replace_prefix(run_path(f"{name}/")) != run_path(f"{name}/"):
        raise WorkflowError("module: prefix and replace_prefix do not reach paths in commands; set run_dir in its config instead")


pathvars:
    data=run_path(names.DATA),
    checkpoints=run_path(names.CHECKPOINTS),
    models=run_path(names.MODELS),
    results=run_path("results"),
    logs=run_path("logs"),
    benchmarks=run_path("benchmarks"),


def tracked(section=None, code=1, **sections):
    """Parameter that holds what decides a job's result: sections of the configuration, as canonical JSON.

    Raise ``code`` when new code changes results. A section may be a function of the wildcards. Snakemake compares the text with
    that of the last run; it is a function since Snakemake reads the braces in a string as wildcards.
    """

    def spec(wildcards):
        parts = {name: part(wildcards) if callable(part) else part for name, part in sections.items()}
        return canonical(section(wildcards) if callable(section) else section, code=code, **parts)

    return spec


def figure(stem):
    """Files of one figure, one for each format."""
    return [f"<results>/figures/{stem}.{extension}" for extension in settings.figures.formats]


def iteration_of(name):
    """Number of an RFT iteration, from a round's or a model's name; None in Stage 1."""
    digits = re.search(r"iter(\d+)$", name)
    return int(digits[1]) if digits else None


def untracked(value):
    """A parameter that does not change what a job makes, if it succeeds: Snakemake does not compare functions of the output."""
    return lambda wildcards, output: value


def model_input_folder(wildcards, input):
    return os.path.dirname(input.model[0])


def output_folder(wildcards, output):
    return os.path.dirname(output[0])


def output_stem(wildcards, output):
    """Path of a figure without its extension."""
    return os.path.splitext(output[0])[0]


wildcard_constraints:
    dataset="|".join(settings.datasets),
    split="train|test",
    shard=r"\d+",
    iteration=r"\d+",
    round=r"stage1_level1|stage2_rft_level2/iter\d+",
    tuned=r"stage1-rft|stage2-rft-iter\d+",
    curriculum="|".join(CURRICULA),
    definitions="|".join(DEFINITIONS),
    decoding="sampled|greedy",
    model="|".join(MODELS),


onstart:
    # Snakemake passes over the image if it is not told to use it.
    if settings.container and DeploymentMethod.APPTAINER not in workflow.deployment_settings.deployment_method:
        raise WorkflowError("container: an image is used with --sdm apptainer only; add that, or set container: null")
    share_gpus()
    try:
        run_registry.check_released(".snakemake", settings.run_dir)
        check_cluster()
    except UserError as error:
        raise WorkflowError(str(error))
    try:
        relink(Path(settings.base_model), Path("<checkpoints>/base"), DIGESTS)
        run_registry.record(".snakemake", settings.run_dir, workflow.persistence._lockfile.values(), name_on_cluster())
        provenance.note(settings, CHANGED_KEYS if CHANGED_KEYS and any(existing_outputs()) else [])
    except OSError as error:
        raise WorkflowError(explain(error) or str(error))


onsuccess:
    # Every output belonged to this run: none of an earlier configuration is left.
    if set(existing_outputs()) <= {str(output) for job in workflow.dag.jobs for output in job.output}:
        provenance.forget(settings.run_dir)
    run_registry.erase(".snakemake")


onerror:
    run_registry.erase(".snakemake")
