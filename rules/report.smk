"""Figures and summary of the whole experiment."""


rule plot_main_comparison:
    """Figure: accuracy by level, all models."""
    input:
        accuracy=rules.summarize_evaluation.output.parquet,
    output:
        report(
            figure("accuracy_by_level")[0],
            caption=f"{CAPTIONS}/held_out_accuracy.rst",
            category="Stage 2",
            labels={"figure": "Accuracy by level"},
        ),
        figure("accuracy_by_level")[1:],
    log:
        "<logs>/plot_main_comparison.log",
    benchmark:
        "<benchmarks>/results/plot_main_comparison.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.plot_figures(settings)),
        stem=output_stem,
    shell:
        'python "$SCRIPTS"/plot_main_comparison.py --spec {params.spec:q} '
        "--accuracy {input.accuracy:q} "
        "--stem {params.stem:q} 2>&1 | tee {log:q}"


rule plot_learning_curves:
    """Figure: reinforcement learning by step, RFT by iteration."""
    input:
        metrics=list(rl_metrics().values()),
        accuracy=rules.summarize_evaluation.output.parquet,
    output:
        report(
            figure("learning_curves")[0],
            caption=f"{CAPTIONS}/learning_curves.rst",
            category="Stage 2",
            labels={"figure": "Learning curves"},
        ),
        figure("learning_curves")[1:],
    log:
        "<logs>/plot_learning_curves.log",
    benchmark:
        "<benchmarks>/results/plot_learning_curves.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.plot_figures(settings)),
        stem=output_stem,
        rl=named("metrics", rl_metrics()),
    shell:
        'python "$SCRIPTS"/plot_learning_curves.py --spec {params.spec:q} '
        "--rl {params.rl:q} --accuracy {input.accuracy:q} "
        "--stem {params.stem:q} 2>&1 | tee {log:q}"


rule plot_passk:
    """Figure: pass@k by level."""
    input:
        passk=rules.summarize_passk.output.parquet,
    output:
        report(
            figure("pass_at_k")[0],
            caption=f"{CAPTIONS}/passk.rst",
            category="Stage 2",
            labels={"figure": "pass@k"},
        ),
        figure("pass_at_k")[1:],
    log:
        "<logs>/plot_passk.log",
    benchmark:
        "<benchmarks>/results/plot_passk.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.plot_figures(settings)),
        stem=output_stem,
    shell:
        'python "$SCRIPTS"/plot_passk.py --spec {params.spec:q} '
        "--passk {input.passk:q} "
        "--stem {params.stem:q} 2>&1 | tee {log:q}"


rule plot_failures:
    """Figure: classes of responses by model and level."""
    input:
        failures=rules.summarize_failures.output.parquet,
    output:
        report(
            figure("failures")[0],
            caption=f"{CAPTIONS}/failures.rst",
            category="Stage 2",
            labels={"figure": "Failures"},
        ),
        figure("failures")[1:],
    log:
        "<logs>/plot_failures.log",
    benchmark:
        "<benchmarks>/results/plot_failures.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.plot_figures(settings)),
        stem=output_stem,
    shell:
        'python "$SCRIPTS"/plot_failures.py --spec {params.spec:q} '
        "--failures {input.failures:q} "
        "--stem {params.stem:q} 2>&1 | tee {log:q}"


rule plot_exposure:
    """Figure: how often each function occurs in each dataset."""
    input:
        datasets=rules.describe_datasets.output.descriptions,
    output:
        report(
            figure("exposure")[0],
            caption=f"{CAPTIONS}/exposure.rst",
            category="Data",
            labels={"figure": "Exposure by function"},
        ),
        figure("exposure")[1:],
    log:
        "<logs>/plot_exposure.log",
    benchmark:
        "<benchmarks>/results/plot_exposure.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.plot_figures(settings)),
        stem=output_stem,
    shell:
        'python "$SCRIPTS"/plot_exposure.py --spec {params.spec:q} '
        "--datasets {input.datasets:q} "
        "--stem {params.stem:q} 2>&1 | tee {log:q}"


rule write_summary:
    """Tables of the run beside the paper's numbers."""
    input:
        accuracy=rules.summarize_evaluation.output.parquet,
        passk=rules.summarize_passk.output.parquet,
        failures=rules.summarize_failures.output.parquet,
        dataset=descriptions()[settings.evaluation.dataset],
        metrics=list(rl_metrics().values()),
    output:
        summary=report(
            "<results>/summary.md",
            caption=f"{CAPTIONS}/summary.rst",
            category="Run",
            labels={"figure": "Summary"},
        ),
    log:
        "<logs>/write_summary.log",
    benchmark:
        "<benchmarks>/results/write_summary.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.write_summary(settings)),
        rl=named("metrics", rl_metrics()),
    shell:
        'python "$SCRIPTS"/write_summary.py --spec {params.spec:q} --accuracy {input.accuracy:q} --passk {input.passk:q}'
        " --failures {input.failures:q} --dataset {input.dataset:q} --rl {params.rl:q} --output {output.summary:q} 2>&1 | tee {log:q}"


rule record_versions:
    """Table: versions of the packages that the run uses."""
    output:
        versions=report(
            "<results>/versions.md",
            caption=f"{CAPTIONS}/versions.rst",
            category="Run",
            labels={"figure": "Versions"},
        ),
    log:
        "<logs>/record_versions.log",
    benchmark:
        "<benchmarks>/results/record_versions.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.record_versions(installed())),
    shell:
        'python "$SCRIPTS"/record_versions.py --spec {params.spec:q} --output {output.versions:q} 2>&1 | tee {log:q}'
