"""No run goes on over files that another configuration made and that Snakemake has no record of: it would keep them silently."""

from snakemake.settings.types import PersistenceBackend


def existing_outputs():
    """Outputs of all rules that are there."""
    for rule in workflow.rules:
        for output in rule.output:
            for path in glob.iglob(re.sub(r"{[^{}]+}", "*", output).replace("/*/", "/**/"), recursive=True):
                if rule.is_producer(path):
                    yield path


if workflow.is_main_process and workflow.workflow_settings.persistence_backend == PersistenceBackend.FILE:
    try:
        if changed := provenance.changed_keys(run_path("results/config.json"), settings):
            provenance.refuse(changed, provenance.unrecorded(sorted(set(existing_outputs()))), settings.run_dir)
    except UserError as error:
        raise WorkflowError(str(error))
