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


def model_job(rule, estimate):
    """Resources of a job that runs a model; ``estimate(wildcards)`` is what it takes."""
    override = settings.cluster.resources.get(rule)

    def field(name):
        return lambda wildcards: getattr(estimate(wildcards), name)

    def memory(wildcards, attempt):
        amount = field("mem_mb")(wildcards)
        return amount if override and override.mem_mb else growing(amount)(wildcards, attempt)

    return {name: field(name) for name in Estimate._fields} | {"mem_mb": memory}


def rollout_job(rule, estimate):
    """Resources of a job that makes rollouts."""
    return {"nodes": 1, "slurm_extra": SAVING, "gpu": settings.rollout_engine.gpus} | model_job(rule, estimate)


def training_job(rule, estimate):
    """Resources of a job that trains."""
    return {**NODES, "gpu": settings.training.workers()} | model_job(rule, estimate)


def training_places(engine):
    """Arguments of a job that trains: on which GPUs, and how verl uses them."""
    training = settings.training
    return {"gpus": training.gpus, "nodes": training.nodes, "verl": training.verl if engine == "verl" else None}


def shard_rows(shard, problems, size):
    """Number of problems in a shard."""
    return min(size, problems - int(shard) * size)


def estimate_stage1_shard(wildcards):
    """Rollouts are in their shard's file, in rollout.parquet and, if selected, in rft_data/."""
    rows = shard_rows(wildcards.shard, STAGE1_PROBLEMS, settings.rollout_engine.shard_size)
    return estimate_rollouts(settings, "generate_rollouts", settings.stage1.rollouts, rows, copies=3)


def estimate_iteration_shard(wildcards):
    rft = settings.stage2.rft
    rows = shard_rows(wildcards.shard, rft.examples_per_iteration, settings.rollout_engine.shard_size)
    return estimate_rollouts(settings, "generate_rollouts", rft.rollouts, rows, copies=3)


def estimate_stage1_sft(wildcards):
    part = settings.stage1
    if settings.use.stage1_rft_data:
        return estimate_sft_on_rows(settings, part.sft, part.rollouts, part.rft, STAGE1_EXAMPLES)
    return estimate_sft(settings, part.sft, part.rollouts, part.rft, STAGE1_PROBLEMS)


def estimate_iteration_sft(wildcards):
    rft = settings.stage2.rft
    return estimate_sft(settings, rft.sft, rft.rollouts, rft.selection, rft.examples_per_iteration)


def estimate_stage1_test(wildcards):
    problems = settings.datasets["stage1_level1"].test
    return estimate_rollouts(settings, "generate_stage1_test_rollouts", settings.evaluation.rollouts, problems)


def estimate_held_out(wildcards):
    limits = settings.evaluation.rollouts
    if wildcards.decoding == "greedy":
        limits = limits.model_copy(update={"samples": 1})
    return estimate_rollouts(settings, "generate_held_out_rollouts", limits, settings.datasets[settings.evaluation.dataset].test)


def estimate_passk(wildcards):
    rows = shard_rows(wildcards.shard, settings.datasets[settings.passk.dataset].test, settings.passk.shard_size)
    return estimate_rollouts(settings, "generate_passk_rollouts", settings.passk.rollouts, rows)


def estimate_curriculum(wildcards):
    return estimate_rl(settings, settings.stage2.rl.curricula[wildcards.curriculum])
