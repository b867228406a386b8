"""Environments, resources, and arguments that affect speed and memory but no result."""


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
