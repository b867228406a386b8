"""How the work is done: environments, GPUs, and arguments that change speed and memory but no result."""


def environment(engine):
    """Where an engine's packages come from."""
    return f"{CHECKOUT}/envs/{'gpu' if engine in ('vllm', 'verl') else 'cpu'}.yaml"


def sft_settings(wildcards):
    """Fine-tuning of Stage 1, or of an RFT iteration."""
    return (settings.stage1 if iteration_of(wildcards.tuned) is None else settings.stage2.rft).sft


def sft_environment(wildcards):
    return environment(sft_settings(wildcards).engine)


def training_work(engine, micro_batch_size, save_every, *more):
    """Arguments of a training program."""
    training = settings.training
    given = {
        "--micro-batch-size": micro_batch_size,
        "--save-every": save_every,
        "--gpus": training.gpus,
        "--nodes": training.nodes,
    }
    if engine == "verl":
        given["--verl"] = training.verl.model_dump_json()
    return shlex.join([str(part) for pair in given.items() for part in pair] + [str(part) for part in more])


def sft_work(wildcards, output):
    training = settings.training
    engine = sft_settings(wildcards).engine
    return training_work(engine, training.micro_batch_size, training.save_every, "--log-every", training.log_every)


def rl_work(wildcards, output):
    training = settings.training
    rl = settings.stage2.rl
    more = ["--batch-size", settings.rollout_engine.batch_size]
    more += ["--on-empty-step", rl.on_empty_step, "--on-incomplete-step", rl.on_incomplete_step]
    if validation := stages.rl_validation(settings):
        more += ["--validation", validation.model_dump_json()]
    return training_work(settings.stage2.rl.engine, training.rl_micro_batch_size, training.rl_save_every, *more)


def rollout_work(wildcards, output):
    engine = settings.rollout_engine
    given = {
        "--batch-size": engine.batch_size,
        "--gpus": engine.gpus,
        "--jobs-per-gpu": engine.jobs_per_gpu,
        "--options": json.dumps(engine.speed_options()),
    }
    return shlex.join(str(part) for pair in given.items() for part in pair)


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


def shard_rows(shard, problems, size):
    """Number of problems in a shard."""
    return min(size, problems - int(shard) * size)


def estimate_round(wildcards):
    """Rollouts are in their shard's file, in rollout.parquet and, if selected, in rft_data/."""
    part, problems = settings.stage1, STAGE1_PROBLEMS
    if iteration_of(wildcards.round) is not None:
        part, problems = settings.stage2.rft, settings.stage2.rft.examples_per_iteration
    rows = shard_rows(wildcards.shard, problems, settings.rollout_engine.shard_size)
    return estimate_rollouts(settings, "generate_rollouts", part.rollouts, rows, copies=3)


def estimate_tuning(wildcards):
    rft = settings.stage2.rft
    if iteration_of(wildcards.tuned) is not None:
        return estimate_sft(settings, rft.sft, rft.rollouts, rft.selection, rft.examples_per_iteration)
    part = settings.stage1
    if settings.use.stage1_rft_data:
        return estimate_sft_on_rows(settings, part.sft, part.rollouts, part.rft, STAGE1_EXAMPLES)
    return estimate_sft(settings, part.sft, part.rollouts, part.rft, STAGE1_PROBLEMS)


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


def share_gpus():
    """On one machine, as many jobs at once as its GPUs hold, unless the user said ``--resources gpu=N``; a cluster counts its own."""
    needed = max(settings.rollout_engine.gpus, settings.training.workers())
    if needed and workflow.local_exec and "gpu" not in workflow.global_resources:
        present = len(gpus.visible()) * settings.rollout_engine.jobs_per_gpu
        # When a run starts, the scheduler has its list of what jobs take already.
        workflow.scheduler.global_resources["gpu"] = max(present, needed)
        workflow.register_resource("gpu", max(present, needed))
