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
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(settings.figures, code=3),
        stem=subpath(output[0], strip_suffix=FIRST_FORMAT),
    shell:
        "run_logged {log:q} plot_main_comparison --spec {params.spec:q}" " --accuracy {input.accuracy:q}" " --stem {params.stem:q}"


rule plot_learning_curves:
    """Figure: reinforcement learning by step, RFT by iteration."""
    input:
        metrics=expand("<models>/{model}/metrics.jsonl", model=RL_MODELS),
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
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(settings.figures, code=3),
        stem=subpath(output[0], strip_suffix=FIRST_FORMAT),
        rl=named("metrics", RL_MODELS),
    shell:
        "run_logged {log:q} plot_learning_curves --spec {params.spec:q}"
        " --rl {params.rl:q} --accuracy {input.accuracy:q}"
        " --stem {params.stem:q}"


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
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(settings.figures, code=3),
        stem=subpath(output[0], strip_suffix=FIRST_FORMAT),
    shell:
        "run_logged {log:q} plot_passk --spec {params.spec:q}" " --passk {input.passk:q}" " --stem {params.stem:q}"


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
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(settings.figures, code=3),
        stem=subpath(output[0], strip_suffix=FIRST_FORMAT),
    shell:
        "run_logged {log:q} plot_failures --spec {params.spec:q}" " --failures {input.failures:q}" " --stem {params.stem:q}"


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
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(settings.figures, code=3),
        stem=subpath(output[0], strip_suffix=FIRST_FORMAT),
    shell:
        "run_logged {log:q} plot_exposure --spec {params.spec:q}" " --datasets {input.datasets:q}" " --stem {params.stem:q}"


rule write_summary:
    """Tables of the run beside the paper's numbers."""
    input:
        accuracy=rules.summarize_evaluation.output.parquet,
        passk=rules.summarize_passk.output.parquet,
        failures=rules.summarize_failures.output.parquet,
        dataset=descriptions()[settings.evaluation.dataset],
        metrics=expand("<models>/{model}/metrics.jsonl", model=RL_MODELS),
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
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(models=MODELS, base_model=settings.base_model, code=2),
        rl=named("metrics", RL_MODELS),
    shell:
        "run_logged {log:q} write_summary --spec {params.spec:q} --accuracy {input.accuracy:q} --passk {input.passk:q}"
        " --failures {input.failures:q} --dataset {input.dataset:q} --rl {params.rl:q} --output {output.summary:q}"


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


rule plot_selection:
    """Figure: Stage-1 responses kept and dropped by reason, exposure by function."""
    input:
        selection="<data>/stage1_level1/rft_data/selection.json",
    output:
        report(
            figure("stage1_selection")[0],
            caption=f"{CAPTIONS}/selection.rst",
            category="Stage 1",
            labels={"figure": "RFT data"},
        ),
        figure("stage1_selection")[1:],
    log:
        "<logs>/plot_selection.log",
    benchmark:
        "<benchmarks>/results/plot_selection.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(settings.figures, code=3),
        stem=subpath(output[0], strip_suffix=FIRST_FORMAT),
    shell:
        "run_logged {log:q} plot_selection --spec {params.spec:q}" " --selection {input.selection:q}" " --stem {params.stem:q}"


rule plot_training:
    """Figure: loss and learning rate of Stage 1 by step."""
    input:
        metrics="<models>/stage1-rft/metrics.jsonl",
    output:
        report(
            figure("stage1_training")[0],
            caption=f"{CAPTIONS}/training.rst",
            category="Stage 1",
            labels={"figure": "Training"},
        ),
        figure("stage1_training")[1:],
    log:
        "<logs>/plot_training.log",
    benchmark:
        "<benchmarks>/results/plot_training.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(settings.figures, code=3),
        stem=subpath(output[0], strip_suffix=FIRST_FORMAT),
    shell:
        "run_logged {log:q} plot_training --spec {params.spec:q}" " --metrics {input.metrics:q}" " --stem {params.stem:q}"
