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


if workflow.is_main_process and workflow.workflow_settings.persistence_backend == PersistenceBackend.FILE:
    try:
        if changed := provenance.changed_keys(run_path("results/config.json"), settings):
            provenance.refuse(changed, provenance.unrecorded(sorted(set(existing_outputs()))), settings.run_dir)
    except UserError as error:
        raise WorkflowError(str(error))
