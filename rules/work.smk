"""How programs are started, environments, resources, and arguments that affect speed and memory but no result."""

VARIABLES = {
    "SCRIPTS": f"{CHECKOUT}/workflow/scripts",
    # A program saves its state and stops when the Snakemake that started it is gone.
    "FOFG_SUPERVISOR": os.getpid(),
    "FOFG_SAVE_SECONDS": settings.cluster.grace_period,
    "FOFG_OWN_FILES": os.pathsep.join(map(os.path.abspath, specs.own_files(settings))),
    **TASK,
    # Idle OpenMP threads that spin take the cores that other jobs compute on.
    "OMP_WAIT_POLICY": "PASSIVE",
    # Big tensors come from the heap and stay there: mapping and clearing their pages again in each step is slower.
    "MALLOC_MMAP_THRESHOLD_": 4 << 30,
    "MALLOC_TRIM_THRESHOLD_": 16 << 30,
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": 1,
    "TQDM_MININTERVAL": 2,
}
# Bars on a terminal read what jobs print from their logs.
TO_SCREEN = " > /dev/null" if bars_show_jobs() else ""
# A failure anywhere in a pipe fails the job. SLURM sends SIGTERM to all processes of a job, and Ctrl-C sends SIGINT; tee ignores
# both, so that the program's last messages reach the log.
PREFIX = f"""
set -euo pipefail
export {" ".join(f"{name}={shlex.quote(str(value))}" for name, value in VARIABLES.items())}
export PYTHONPATH={shlex.quote(f"{CHECKOUT}/src")}${{PYTHONPATH:+:$PYTHONPATH}}
run_logged() {{
    local log=$1 program=$2; shift 2
    {"" if OWN_PYTHON else f"PATH={shlex.quote(os.path.dirname(PYTHON))}:$PATH "}{"python" if OWN_PYTHON else shlex.quote(PYTHON)} \
        "$SCRIPTS/$program.py" "$@" 2>&1 | (trap "" INT TERM; exec tee "$log"{TO_SCREEN})
}}
"""
shell.prefix(PREFIX.replace("{", "{{").replace("}", "}}"))


def environment(engine):
    """Return the conda environment with an engine's packages."""
    return f"{CHECKOUT}/envs/{'gpu' if engine in ('vllm', 'verl') else 'cpu'}.yaml"


#: sbatch option: send SIGURG before the time limit, so that jobs can checkpoint. Programs with nothing to save ignore it.
SAVING = f"--signal=URG@{settings.cluster.grace_period}"
#: Resources of training jobs. On several nodes, one program starts the others with srun.
NODES = {"nodes": settings.training.nodes, "slurm_extra": SAVING}
if settings.training.nodes > 1:
    NODES |= {"tasks": settings.training.nodes, "mpi": "srun"}
    if settings.training.gpus:
        NODES["slurm_extra"] += f" --gpus-per-node={settings.training.gpus}"
#: Maximum megabytes and minutes of one job on the cluster. Retries don't request more.
ROOM = {"memory": math.inf, "minutes": math.inf}


def growing(amount, kind="memory"):
    """Return a job's megabytes (or ``minutes``) by attempt: 50% more in a retry, if the cluster has it."""
    return lambda wildcards, attempt: amount if attempt == 1 else max(amount, min(3 * amount // 2, ROOM[kind]))


def model_job(kind, estimate):
    """Return the resources of a job that runs a model: ``estimate(wildcards)``, unless ``cluster.resources`` overrides them."""
    override = settings.cluster.resources.get(kind)

    def field(name):
        return lambda wildcards: getattr(estimate(wildcards), name)

    def memory(wildcards, attempt):
        return (override and override.mem_mb) or growing(field("mem_mb")(wildcards))(wildcards, attempt)

    limit = (override and override.runtime) or field("runtime")
    return {name: field(name) for name in Estimate._fields} | {"mem_mb": memory, "runtime": limit}


def rollout_job(kind, rollouts, problems, shard_size=None, copies=1):
    """Return the resources of a rollout job, for all problems or one shard; these and ``rollouts`` may be functions of wildcards."""

    def estimate(wildcards):
        number = problems(wildcards) if callable(problems) else problems
        rows = min(shard_size, number - int(wildcards.shard) * shard_size) if shard_size else number
        return estimate_rollouts(settings_of(wildcards), rollouts(wildcards) if callable(rollouts) else rollouts, rows, copies)

    return {"nodes": 1, "slurm_extra": SAVING, "gpu": settings.rollout_engine.gpus} | model_job(kind, estimate)


def selection_threads(problems, rollouts):
    """Return a function for a selection job's threads: one if it takes a second, as a job of two waits until both cores are free.

    ``problems``, ``rollouts``: functions of the wildcards.
    """
    return lambda wildcards: 1 if problems(wildcards) * rollouts(wildcards).samples < 50000 else 2


def training_job(kind, estimate):
    """Return the resources of a training job."""
    return {**NODES, "gpu": settings.training.workers()} | model_job(kind, estimate)


def training_places(engine):
    """Return the arguments of a training job for GPUs, nodes, verl, checkpoints' share of the time, trackers, and the weights' files."""
    training, one_file = settings.training, MODEL_FILES["weights"] == WHOLE
    verl = training.verl if engine == "verl" else None
    others = {"max_save_share": training.max_save_share, "trackers": training.trackers}
    return {"gpus": training.gpus, "nodes": training.nodes, "verl": verl, "one_file": one_file} | others
