"""How the work is done: environments, GPUs, and arguments that change speed and memory but no result."""


def environment(engine):
    """Where an engine's packages come from."""
    return f"{CHECKOUT}/envs/{'gpu' if engine in ('vllm', 'verl') else 'cpu'}.yaml"


#: Option of sbatch: before its limit a job gets a signal that all programs ignore but those that have something to save.
SAVING = f"--signal=URG@{settings.cluster.grace_period}"
#: Of training: on several nodes, one program starts others on all of them.
NODES = {"nodes": settings.training.nodes, "slurm_extra": SAVING}
if settings.training.nodes > 1:
    NODES |= {"tasks": settings.training.nodes, "mpi": "srun"}
    if settings.training.gpus:
        NODES["slurm_extra"] += f" --gpus-per-node={settings.training.gpus}"
#: What a cluster has for one job at most: megabytes, minutes. Retries don't ask for more.
ROOM = {"memory": math.inf, "minutes": math.inf}


def growing(amount, kind="memory"):
    """Megabytes (or ``minutes``) of a job; half as much again in a retry, if the cluster has it."""
    return lambda wildcards, attempt: amount if attempt == 1 else max(amount, min(3 * amount // 2, ROOM[kind]))


def model_job(kind, estimate):
    """Resources of a job that runs a model: ``estimate(wildcards)``, unless ``cluster.resources`` has others for its kind."""
    override = settings.cluster.resources.get(kind)

    def field(name):
        return lambda wildcards: getattr(estimate(wildcards), name)

    def memory(wildcards, attempt):
        return (override and override.mem_mb) or growing(field("mem_mb")(wildcards))(wildcards, attempt)

    limit = (override and override.runtime) or field("runtime")
    return {name: field(name) for name in Estimate._fields} | {"mem_mb": memory, "runtime": limit}


def rollout_job(kind, rollouts, problems, shard_size=None, copies=1):
    """Resources of a job that makes rollouts: of all problems, or of one shard. ``rollouts`` may depend on wildcards."""

    def estimate(wildcards):
        rows = min(shard_size, problems - int(wildcards.shard) * shard_size) if shard_size else problems
        return estimate_rollouts(settings, rollouts(wildcards) if callable(rollouts) else rollouts, rows, copies)

    return {"nodes": 1, "slurm_extra": SAVING, "gpu": settings.rollout_engine.gpus} | model_job(kind, estimate)


def training_job(kind, estimate):
    """Resources of a job that trains."""
    return {**NODES, "gpu": settings.training.workers()} | model_job(kind, estimate)


def training_places(engine):
    """Arguments of a job that trains: on which GPUs, and how verl uses them."""
    training = settings.training
    return {"gpus": training.gpus, "nodes": training.nodes, "verl": training.verl if engine == "verl" else None}
