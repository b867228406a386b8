"""Everything that uses Snakemake's internals, for lack of a public interface. Checked with Snakemake 9.27."""

from snakemake.exceptions import MissingRuleException
from snakemake.io import apply_wildcards
from snakemake.iocontainers import InputFiles, Wildcards
from snakemake.jobs import Job
from snakemake.persistence import ParamsChange, PersistenceBase
from snakemake.settings.types import PersistenceBackend

for example in (in_run(f"{folder}/x") for folder in ("data", "checkpoints", "results", "logs", "benchmarks")):
    if workflow.modifier.path_modifier.replace_prefix(example) != example:
        raise WorkflowError("module: prefix and replace_prefix do not reach paths in commands; set run_dir in its config instead")

RECORDS_IN_FILES = workflow.workflow_settings.persistence_backend == PersistenceBackend.FILE


def existing_outputs():
    """Yield the existing outputs of all rules."""
    for producer in workflow.rules:
        templates = [re.sub(r"{(variant|swept),[^{}]*}", r"{\1}", output) for output in producer.output]
        for output in expand(of_all_seeds(templates), swept=existing_points(), allow_missing=True):
            parts = [glob.escape(part) for part in re.split(r"{[^{}]+}", output)]
            pattern = re.sub(r"(?<=/)[*](?=/)", "**", "*".join(parts))
            for path in glob.iglob(pattern, recursive=True):
                if producer.is_producer(path):
                    yield path


@cache
def existing_points():
    """Return the folders of the sweep's points that exist, and the empty one."""
    root = in_run("x")[:-1]
    patterns = [f"{glob.escape(root)}{names.SWEEP}{'*=*/' * depth}" for depth in range(1, len(settings.sweep) + 1)]
    folders = [path.removeprefix(root) for pattern in patterns for path in glob.iglob(pattern)]
    return ["", *(folder for folder in folders if re.fullmatch(SWEEP.pattern(), folder))]


def outputs_of_jobs():
    """Return the outputs of this run's jobs, whether they had to run or not."""
    return {str(output) for job in workflow.dag.jobs for output in job.output}


def slurm_job_name():
    """Return the name of this run's jobs in SLURM's queue; None without a cluster."""
    return getattr(workflow.scheduler._executor, "run_uuid", None)


def lock_files():
    """Return the lock files of this run, so that a later start can tell them from those of other runs."""
    return workflow.persistence._lockfile.values()


def check_cluster():
    """Raise UserError if a job, or a group of jobs, could never start; limit retries to what the cluster has."""
    if slurm_job_name():
        submitted = {workflow.dag.get_job_group(job) or job for job in workflow.dag.needrun_jobs() if not job.is_local}
        ROOM["memory"], ROOM["minutes"] = slurm.check([slurm_request(job) for job in submitted])


def slurm_request(job):
    """Return the resources of a job or group, with Snakemake's own defaults where a user has removed ours."""
    requested, nodes = job.resources, job.resources.get("nodes") or 1
    return slurm.Request(
        job.name,
        requested.get("slurm_partition"),
        minutes=requested.get("runtime", 0),
        mem_mb=requested.get("mem_mb", 0),
        cpus=job.threads,
        gpus=(requested.get("gpu") or 0) // nodes,
        nodes=nodes,
        group=job.groupid if job.is_group() else None,
    )


def bars_show_jobs():
    """Return whether bars on a terminal show what jobs print."""
    return any(getattr(handler, "shows_jobs", False) for handler in workflow.logger_manager.get_log_handlers())


def requested_gpus():
    """Return the numbers of GPUs that jobs to run request of this machine; none where a cluster or ``--resources gpu=N`` counts."""
    # A dry run replaces the executor, but not the threads that start the jobs of a remote one.
    remote = workflow.execution_settings.use_threads if workflow.dryrun else not workflow.local_exec
    if remote or "gpu" in workflow.global_resources:
        return set()
    jobs = workflow.dag.needrun_jobs(exclude_finished=False)  # a dry run has finished them all
    return {number for job in jobs if (number := job.resources.get("gpu"))}


def share_gpus():
    """Limit parallel jobs to this machine's GPUs, unless ``--resources gpu=N`` is given; a cluster counts its own."""
    if requested := requested_gpus():
        if message := preflight.missing_gpus(settings, requested):
            raise WorkflowError(message)
        limit = max(len(gpus.visible()) * settings.rollout_engine.jobs_per_gpu, *requested)
        # At this point the scheduler has already copied the limits, so set them in both places.
        workflow.scheduler.global_resources["gpu"] = limit
        workflow.register_resource("gpu", limit)


def warn_of_missing_gpus():
    """Print after a dry run what would keep a run from starting on this machine."""
    if workflow.dryrun and workflow.dag and (message := preflight.missing_gpus(settings, requested_gpus())):
        print(f"warning: {message}", file=sys.stderr)


if workflow.is_main_process and workflow.output_settings.dryrun and (settings.rollout_engine.gpus or settings.training.gpus):
    atexit.register(warn_of_missing_gpus)


# A target that nothing makes comes with the one that may be meant.
create = MissingRuleException.__init__


def create_with_target(error, file, *arguments, **options):
    create(error, file, *arguments, **options)
    error.target = str(file)


def describe_missing_rule(error):
    names = [producer.name for producer in workflow.rules if not producer.output]
    close = difflib.get_close_matches(error.target, names, n=1) or difflib.get_close_matches(
        error.target, {*existing_outputs()}, n=1
    )
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{error.target}: no such target; {hint}`snakemake --list-target-rules` lists them"


MissingRuleException.__init__ = create_with_target
MissingRuleException.__str__ = describe_missing_rule

# The reason of a job names the keys of its spec that have changed. By default, it is both specs as a whole, and only for the first
# jobs of a chain.
ParamsChange.__str__ = lambda change: "; ".join(changes.of_parameters(change.only_old, change.only_new))
log_info = Job.log_info


def log_info_with_changes(job, *arguments, **options):
    reason = job.dag.reason(job)
    if workflow.dryrun and not (reason.forced or reason.params_changed):
        reason.params_changed = workflow.persistence.params_changed(job)
    log_info(job, *arguments, **options)


Job.log_info = log_info_with_changes

if workflow.remote_exec:
    # Make jobs on a cluster write the full records of their outputs, not only that they are complete. By default, the main process
    # writes them, and if it is killed, a later run would not notice changed parameters.
    finished = PersistenceBase.finished

    async def finished_with_record(persistence, job):
        settings = persistence.dag.workflow.remote_execution_settings
        settings.immediate_submit = True  # the mode in which a job's own process writes them
        try:
            await finished(persistence, job)
        finally:
            settings.immediate_submit = False

    PersistenceBase.finished = finished_with_record


# A job of a sweep's point reads each input from the point with those keys alone on which the input depends. These are found by what
# makes it: its job's parameter `spec` and input files, which are the same without a key that doesn't matter.
@cache
def producer_of(path):
    """Return the rule that makes a file, and its wildcards; None if none does."""
    for producer in workflow.rules:
        if producer.is_producer(path):
            return producer, producer.get_wildcards(path)
    return None


@cache
def content(path, folder):
    """Return what decides the content of a file at a point; None where the point's values don't fit together."""
    producer, values = producer_of(path)
    wildcards = Wildcards(fromdict=values | {"swept": folder})
    try:
        files = [file for item in producer.input for file in input_files(producer, item, wildcards)]
        return producer.params.spec(wildcards), files
    except UserError:
        return None


@cache
def without_unused_keys(path):
    """Return the path of a file at a point that has only the keys on which the file depends."""
    root = in_run("x")[:-1]
    if not path.startswith(f"{root}{names.SWEEP}"):
        return path
    folder = re.match(SWEEP.pattern(), path.removeprefix(root))[0]
    rest = f"{root}{path.removeprefix(root + folder)}"
    if producer_of(rest) is None:
        return path
    point = needed(SWEEP.point(folder), lambda point: content(rest, SWEEP.folder(point)))
    return f"{root}{SWEEP.folder(point)}{rest.removeprefix(root)}"


def input_files(consumer, item, wildcards):
    """Return the paths of a rule's input, a text, a function or several of them, for some wildcards."""
    if callable(item):
        item = item(wildcards)
    if not isinstance(item, (str, Path)):
        return [path for part in item for path in input_files(consumer, part, wildcards)]
    values = {"swept": "", **dict(wildcards.items())}
    return [without_unused_keys(apply_wildcards(consumer.pathvars.apply(str(item)), values))]


def leave_out_unused_keys():
    """Replace the inputs of all rules that have a point of the sweep in their path by functions that do so."""
    for consumer in workflow.rules:
        inputs = InputFiles()
        for name, item in consumer.input._allitems():
            swept = not isinstance(item, str) or "{swept" in item
            inputs.append(partial(input_files, consumer, item) if swept else item)
            if name:
                inputs._add_name(name)
        consumer._input = inputs
