"""On a SLURM cluster: what jobs ask for is looked at before any is submitted, and they note themselves what they made."""

from snakemake.persistence import PersistenceBase


def name_on_cluster():
    """Name of all jobs of this run in SLURM's queue; None without a cluster."""
    return getattr(workflow.scheduler._executor, "run_uuid", None)


def check_cluster():
    """Fails if a job, or a group of jobs, asks for what the cluster does not have; tells retries how much that is."""
    if not name_on_cluster():
        return
    submitted = {workflow.dag.get_job_group(job) or job for job in workflow.dag.needrun_jobs() if not job.is_local}
    requests = [requested(job) for job in submitted]
    kinds = slurm.check(requests, polls_queue=workflow.executor_settings.status_command == "squeue")
    for partition in {request.partition for request in requests if request.partition}:
        memory, minutes = slurm.room(kinds, partition)
        ROOM.update(memory=min(ROOM["memory"], memory), minutes=min(ROOM["minutes"], minutes))


def requested(job):
    """What a job asks for, with Snakemake's own defaults where a user has removed ours."""
    asked = job.resources
    nodes = asked.get("nodes") or 1
    cpus, gpus = job.threads, (asked.get("gpu") or 0) // nodes
    memory, limit = asked.get("mem_mb", 0), asked.get("runtime", 0)
    return slurm.Request(job.name, asked.get("slurm_partition"), limit, memory, cpus, gpus, nodes)


def note_in_jobs():
    """Lets a job on a cluster write all of Snakemake's notes on its output, not only that it is whole.

    Otherwise the main process writes them; if it was killed, a later run would not see that parameters have changed.
    """
    finished = PersistenceBase.finished

    async def noted(persistence, job):
        settings = persistence.dag.workflow.remote_execution_settings
        settings.immediate_submit = True  # in which mode a job's own process writes them
        try:
            await finished(persistence, job)
        finally:
            settings.immediate_submit = False

    PersistenceBase.finished = noted


if workflow.remote_exec:
    note_in_jobs()
