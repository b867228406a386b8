"""Figures: ``plot`` of the module ``fofg.report.figures.NAME`` draws the inputs of rule ``plot_NAME``, in this order."""


rule plot_accuracy_by_level:
    """Plot accuracy by level, all models."""
    input:
        rules.summarize_accuracy.output.parquet,
    output:
        figure("accuracy_by_level", "Stage 2", "Accuracy by level"),
    log:
        "<logs>/plot_accuracy_by_level.log",
    benchmark:
        "<benchmarks>/results/plot_accuracy_by_level.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(settings.figures, code=3),
        figure="accuracy_by_level",
        stem=subpath(output[0], strip_suffix=FIRST_FORMAT),
    shell:
        "run_logged {log:q} plot {params.figure} {input:q} --spec {params.spec:q} --stem {params.stem:q}"


use rule plot_accuracy_by_level as plot_learning_curves with:
    """Plot reinforcement learning by step, RFT by iteration."""
    input:
        rules.summarize_accuracy.output.parquet,
        expand("<models>/{model}/metrics.jsonl", model=RL_MODELS),
    output:
        figure("learning_curves", "Stage 2", "Learning curves"),
    log:
        "<logs>/plot_learning_curves.log",
    benchmark:
        "<benchmarks>/results/plot_learning_curves.tsv"
    localrule: True
    params:
        figure="learning_curves",


use rule plot_accuracy_by_level as plot_pass_at_k with:
    """Plot pass@k by level."""
    input:
        rules.summarize_passk.output.parquet,
    output:
        figure("pass_at_k", "Stage 2", "pass@k"),
    log:
        "<logs>/plot_pass_at_k.log",
    benchmark:
        "<benchmarks>/results/plot_pass_at_k.tsv"
    localrule: True
    params:
        figure="pass_at_k",


use rule plot_accuracy_by_level as plot_failures with:
    """Plot failure classes by model and level."""
    input:
        rules.summarize_failures.output.parquet,
    output:
        figure("failures", "Stage 2", "Failures"),
    log:
        "<logs>/plot_failures.log",
    benchmark:
        "<benchmarks>/results/plot_failures.tsv"
    localrule: True
    params:
        figure="failures",


use rule plot_accuracy_by_level as plot_exposure with:
    """Plot how often each function occurs in each dataset."""
    input:
        rules.describe_datasets.output.descriptions,
    output:
        figure("exposure", "Data", "Exposure by function"),
    log:
        "<logs>/plot_exposure.log",
    benchmark:
        "<benchmarks>/results/plot_exposure.tsv"
    localrule: True
    params:
        figure="exposure",


use rule plot_accuracy_by_level as plot_stage1_accuracy with:
    """Plot accuracy before and after Stage 1, definitions visible and hidden."""
    input:
        rules.summarize_stage1.output.csv,
    output:
        figure("stage1_accuracy", "Stage 1", "Accuracy"),
    log:
        "<logs>/plot_stage1_accuracy.log",
    benchmark:
        "<benchmarks>/results/plot_stage1_accuracy.tsv"
    localrule: True
    params:
        figure="stage1_accuracy",


use rule plot_accuracy_by_level as plot_stage1_selection with:
    """Plot Stage-1 responses kept and dropped by reason, exposure by function."""
    input:
        "<data>/stage1_level1/rft_data/selection.json",
    output:
        figure("stage1_selection", "Stage 1", "RFT data"),
    log:
        "<logs>/plot_stage1_selection.log",
    benchmark:
        "<benchmarks>/results/plot_stage1_selection.tsv"
    localrule: True
    params:
        figure="stage1_selection",


use rule plot_accuracy_by_level as plot_stage1_training with:
    """Plot loss and learning rate of Stage 1 by step."""
    input:
        "<models>/stage1-rft/metrics.jsonl",
    output:
        figure("stage1_training", "Stage 1", "Training"),
    log:
        "<logs>/plot_stage1_training.log",
    benchmark:
        "<benchmarks>/results/plot_stage1_training.tsv"
    localrule: True
    params:
        figure="stage1_training",


rule write_summary:
    """Summarize the run in tables, with the paper's numbers."""
    input:
        accuracy=rules.summarize_accuracy.output.parquet,
        passk=rules.summarize_passk.output.parquet,
        failures=rules.summarize_failures.output.parquet,
        dataset=descriptions()[settings.evaluation.dataset],
        metrics=expand("<models>/{model}/metrics.jsonl", model=RL_MODELS),
    output:
        summary=report("<results>/summary.md", caption=f"{CAPTIONS}/summary.rst", category="Run", labels={"figure": "Summary"}),
    log:
        "<logs>/write_summary.log",
    benchmark:
        "<benchmarks>/results/write_summary.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(models=MODELS, base_model=getattr(settings.base_model, "gguf", settings.base_model), code=2),
    shell:
        "run_logged {log:q} write_summary --spec {params.spec:q} --accuracy {input.accuracy:q} --passk {input.passk:q}"
        " --failures {input.failures:q} --dataset {input.dataset:q} --metrics {input.metrics:q} --output {output.summary:q}"


rule record_versions:
    """Write the table of package versions that the run uses."""
    output:
        versions=report("<results>/versions.md", caption=f"{CAPTIONS}/versions.rst", category="Run", labels={"figure": "Versions"}),
    log:
        "<logs>/record_versions.log",
    benchmark:
        "<benchmarks>/results/record_versions.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(packages=installed()),
    shell:
        "run_logged {log:q} record_versions --spec {params.spec:q} --output {output.versions:q}"
