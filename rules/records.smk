"""No run goes on over files that another configuration made and that Snakemake has no record of: it would keep them silently."""

from snakemake.settings.types import PersistenceBackend


def existing_outputs():
    """Outputs of all rules that are there."""
    for producer in workflow.rules:
        for output in producer.output:
            parts = [glob.escape(part) for part in re.split(r"{[^{}]+}", output)]
            pattern = re.sub(r"(?<=/)[*](?=/)", "**", "*".join(parts))
            for path in glob.iglob(pattern, recursive=True):
                if producer.is_producer(path):
                    yield path


CHANGED_KEYS = provenance.changed_keys(settings, DIGESTS) if workflow.is_main_process else []
if workflow.is_main_process and workflow.workflow_settings.persistence_backend == PersistenceBackend.FILE and CHANGED_KEYS != []:
    unrecorded = provenance.unrecorded(sorted(set(existing_outputs())))
    try:
        provenance.refuse(CHANGED_KEYS, unrecorded, settings.run_dir, workflow.main_snakefile)
    except UserError as error:
        raise WorkflowError(str(error))
    if unrecorded:
        logger.warning(provenance.unknown(unrecorded, settings.run_dir))
