"""Hooks before the first and after the last job, and checks of files from earlier runs."""


# Snakemake replaces pathvars after it has applied constraints, so this one reaches only the rules before it.
wildcard_constraints:
    variant=f"({'|'.join(filter(None, VARIANTS))})?",
    swept=SWEEP.pattern(),


# Commands that list or check have no cores, run no jobs, and need no folder.
if workflow.is_main_process and (workflow.resource_settings.cores or workflow.resource_settings.nodes):
    trial = workflow.output_settings.dryrun or any(option.startswith("--delete-") for option in sys.argv)
    try:
        preflight.check_records(Path(".snakemake"), 0 if trial else 1_000_000)
        # Snakemake would refuse to start where a killed run has left its lock.
        if not trial and run_registry.remove_stale_locks(".snakemake"):
            logger.info("removed the lock of a killed run; its finished work is kept")
    except UserError as error:
        raise WorkflowError(str(error))
    except OSError as error:
        logger.warning(f"locks of killed runs can't be looked for: {error}")

CHANGED_KEYS = provenance.changed_keys(settings, DIGESTS) if workflow.is_main_process else []
if workflow.is_main_process and RECORDS_IN_FILES and CHANGED_KEYS != []:
    unrecorded = provenance.unrecorded(sorted(set(existing_outputs())))
    try:
        provenance.refuse(CHANGED_KEYS, unrecorded, settings.run_dir, workflow.main_snakefile)
    except UserError as error:
        raise WorkflowError(str(error))
    if unrecorded:
        logger.warning(provenance.unknown(unrecorded, settings.run_dir))


onstart:
    if MISSING:
        raise WorkflowError(MISSING[0])
    atexit.register(preflight.repeat_check_of_records, Path(".snakemake").absolute())
    # Snakemake ignores the image unless it is told to use it.
    if settings.container and DeploymentMethod.APPTAINER not in workflow.deployment_settings.deployment_method:
        raise WorkflowError("container: an image is used with --sdm apptainer only; add that, or set container: null")
    share_gpus()
    try:
        run_registry.check_released(".snakemake", settings.run_dir)
        check_cluster()
    except UserError as error:
        raise WorkflowError(str(error))
    try:
        relink(Path(settings.base_source()), Path(in_run(names.CHECKPOINTS), names.BASE), DIGESTS)
        if settings.use.stage1_checkpoint:
            relink(Path(settings.use.stage1_checkpoint), Path(in_run(names.CHECKPOINTS), names.OWN_STAGE1), DIGESTS)
        for name, folder in settings.use.models.items():
            relink(Path(folder), Path(in_run(names.CHECKPOINTS), names.OWN, name), DIGESTS)
        run_registry.record(".snakemake", settings.run_dir, lock_files(), slurm_job_name())
        provenance.note(settings, CHANGED_KEYS if CHANGED_KEYS and any(existing_outputs()) else [])
    except OSError as error:
        raise WorkflowError(explain(error) or str(error))


onsuccess:
    atexit.unregister(preflight.repeat_check_of_records)
    # If all outputs belong to this run, none of an earlier configuration is left.
    if set(existing_outputs()) <= outputs_of_jobs():
        provenance.forget(settings.run_dir)
    run_registry.erase(".snakemake")


onerror:
    try:
        # After Ctrl-C. Snakemake itself cancels no job whose state it is asking SLURM for at that moment.
        if slurm_job_name():
            slurm.cancel(slurm_job_name())
        run_registry.erase(".snakemake")
    except UserError as error:  # the entry stays, so that the next start looks for the jobs
        logger.error(f"{error}\njobs of this run may still be in the queue; scancel --name={slurm_job_name()} stops them")
    if text := failed_jobs.report(log):
        # After the last words of Snakemake itself. rich, which draws bars, has its own sys.stderr, which wraps lines.
        atexit.register(print, text, file=sys.__stderr__)
