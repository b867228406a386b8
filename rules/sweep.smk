"""Sweep: accuracy at every point of a grid. What only some keys change lies under ``sweep/KEY=NAME/``; points share the rest."""

#: Table of accuracy that each point adds: that by split has the evaluation's problems, too.
POINT_TABLE = rules.summarize_splits.output.parquet if settings.evaluation.splits else rules.summarize_accuracy.output.parquet


rule summarize_sweep:
    """Make the table of accuracy by point, model and level, with 95% intervals."""
    input:
        tables=of_points(POINT_TABLE),
    output:
        csv="<all_results>/sweep.csv",
        page=report(
            "<all_results>/sweep.html",
            caption=f"{CAPTIONS}/sweep.rst",
            category="Sweep",
            labels={"figure": "Accuracy at every point (table)"},
        ),
    log:
        "<all_logs>/summarize_sweep.log",
    benchmark:
        "<all_benchmarks>/results/summarize_sweep.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(
            points=[choice for choice, _ in SWEEP.points],
            dataset=specs.split_names(settings, bool(OWN_EVALUATION))[0],
            splits=bool(settings.evaluation.splits),
        ),
    shell:
        "run_logged {log:q} summarize_sweep {input.tables:q} --spec {params.spec:q} --csv {output.csv:q} --page {output.page:q}"
