"""Figures: ``plot`` of the module ``fofg.report.figures.NAME`` draws the inputs of rule ``plot_NAME``, in this order."""

#: Figure -> its part and title in Snakemake's report, and the inputs of ``plot``.
FIGURES = {
    "stage1_selection": ("Stage 1", "RFT data", ["<data>/stage1_level1/rft_data/selection.json"]),
    "stage1_training": ("Stage 1", "Training", ["<models>/stage1-rft/metrics.jsonl"]),
    "stage1_accuracy": ("Stage 1", "Accuracy", [rules.summarize_stage1.output.csv]),
    "exposure": ("Data", "Exposure by function", rules.describe_datasets.output.descriptions),
    "accuracy_by_level": ("Stage 2", "Accuracy by level", [rules.summarize_accuracy.output.parquet]),
    "accuracy_by_split": ("Stage 2", "Accuracy by split", [rules.summarize_splits.output.parquet]),
    "learning_curves": (
        "Stage 2",
        "Learning curves",
        [rules.summarize_accuracy.output.parquet, *expand("<models>/{model}/metrics.jsonl", model=RL_MODELS)],
    ),
    "pass_at_k": ("Stage 2", "pass@k", [rules.summarize_passk.output.parquet]),
    "failures": ("Stage 2", "Failures", [rules.summarize_failures.output.parquet]),
    "countdown_accuracy": ("Countdown", "Accuracy on Countdown", [rules.summarize_countdown.output.parquet]),
}

for name, (category, title, files) in FIGURES.items():

    rule:
        """Plot a figure."""
        name:
            f"plot_{name}"
        input:
            files,
        output:
            figure(name, category, title),
        log:
            f"<logs>/plot_{name}.log",
        benchmark:
            f"<benchmarks>/results/plot_{name}.tsv"
        localrule: True
        conda:
            ENVIRONMENT
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            spec=tracked(settings.figures, code=3),
            figure=name,
            stem=subpath(output[0], strip_suffix=FIRST_FORMAT),
        shell:
            "run_logged {log:q} plot {params.figure} {input:q} --spec {params.spec:q} --stem {params.stem:q}"


#: Model and set of problems -> the responses that the page of responses shows.
SHOWN = {f"{model}/held-out": f"<results>/evaluation/{model}/held-out/sampled/rollouts.parquet" for model in MODELS} | {
    f"{model}/{definitions}": f"<results>/evaluation/{model}/{definitions}/rollouts.parquet"
    for model in TESTED_AFTER_STAGE1
    for definitions in DEFINITIONS
}


rule write_samples:
    """Write the page of responses: of all models, to filter and to compare."""
    input:
        rollouts=list(SHOWN.values()),
    output:
        page=report("<results>/samples.html", caption=f"{CAPTIONS}/samples.rst", category="Run", labels={"figure": "Responses"}),
    log:
        "<logs>/write_samples.log",
    benchmark:
        "<benchmarks>/results/write_samples.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        spec=tracked(settings.samples, **GRADING, code=1),
        rollouts=named("rollouts", list(SHOWN)),
    shell:
        "run_logged {log:q} write_samples --spec {params.spec:q} --rollouts {params.rollouts:q} --output {output.page:q}"


rule write_summary:
    """Summarize the run in tables, with the paper's numbers."""
    input:
        accuracy=rules.summarize_accuracy.output.parquet,
        comparisons=rules.compare_models.output.parquet,
        passk=rules.summarize_passk.output.parquet,
        failures=rules.summarize_failures.output.parquet,
        dataset=descriptions()["own_evaluation" if OWN_EVALUATION else settings.evaluation.dataset],
        metrics=expand("<models>/{model}/metrics.jsonl", model=RL_MODELS),
        selections=expand(rules.select_iteration_data.output.selection, iteration=range(RFT.num_iterations)),
        fine_tuned=expand("<models>/{model}/metrics.jsonl", model=RFT_MODELS),
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
        spec=tracked(
            models=MODELS,
            base_model=getattr(settings.base_model, "gguf", settings.base_model),
            group=settings.stage2.rl.rollouts.samples,
            code=4,
        ),
    shell:
        "run_logged {log:q} write_summary --spec {params.spec:q} --accuracy {input.accuracy:q}"
        " --comparisons {input.comparisons:q} --passk {input.passk:q} --failures {input.failures:q} --dataset {input.dataset:q}"
        " --metrics {input.metrics:q} --selections {input.selections:q} --fine-tuned {input.fine_tuned:q}"
        " --output {output.summary:q}"


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
