"""The part of the configuration that a job depends on, as one string.

Functions all, since Snakemake would read the braces of JSON as wildcards.
"""


def fixed(spec):
    """A spec that is the same for all jobs of a rule."""
    return lambda wildcards: spec.text()


@cache
def base_model_identity():
    """The digest of a folder's files, else the hub name."""
    model = settings.base_model
    try:
        if os.path.isdir(model):
            return digest(Path(model), DIGESTS)
        check_name(model)
    except UserError as error:
        if workflow.executor_plugin is not None and not workflow.dryrun:
            raise WorkflowError(str(error))
        logger.warning(error)  # one may look at a plan on another machine
    except OSError as error:
        raise WorkflowError(f"base_model: {error.filename}: {error.strerror}")
    return model


def base_model_spec(wildcards):
    """No input files tell of the model, since Snakemake compares their paths: moved, it would rerun everything."""
    return stages.prepare_base_model(settings, base_model_identity()).text()


def problems_spec(wildcards):
    return stages.create_problems(settings, wildcards.dataset, wildcards.split).text()


def chunk_spec(wildcards):
    return stages.create_chunk(settings, int(wildcards.iteration)).text()


def rollout_spec(wildcards):
    shard = int(wildcards.shard)
    if iteration_of(wildcards.round) is None:
        return stages.generate_rollouts(settings, shard, STAGE1_PROBLEMS).text()
    return stages.generate_iteration_rollouts(settings, shard).text()


def gather_spec(wildcards):
    return stages.gather_rollouts(len(round_shards(wildcards.round))).text()


def selection_spec(wildcards):
    part = stages.select_stage1_data if iteration_of(wildcards.round) is None else stages.select_iteration_data
    return part(settings).text()


def tuning_spec(wildcards):
    part = stages.train_stage1 if iteration_of(wildcards.tuned) is None else stages.train_iteration
    return part(settings).text()


def rl_spec(wildcards):
    return stages.train_rl(settings, wildcards.curriculum).text()


def stage1_test_spec(wildcards):
    return stages.generate_stage1_test_rollouts(settings, wildcards.definitions).text()


def held_out_spec(wildcards):
    return stages.generate_held_out_rollouts(settings, wildcards.decoding).text()


def passk_spec(wildcards):
    return stages.generate_passk_rollouts(settings, int(wildcards.shard)).text()
