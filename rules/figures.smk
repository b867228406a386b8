"""Figures: ``plot`` of the module ``fofg.report.figures.NAME`` draws the inputs of rule ``plot_NAME``, in this order."""

#: Metrics of every run of reinforcement learning.
RL_METRICS = of_all_seeds(f"<models>/{model}/metrics.jsonl" for model in RL_MODELS)
#: Metrics and selection of each RFT iteration, of the first seed.
RFT_RUNS = list(
    zip(
        *(
            expand(files, iteration=range(RFT.num_iterations), variant=list(VARIANTS)[0], allow_missing=True)
            for files in (rules.train_iteration.output.metrics, rules.select_iteration_data.output.selection)
        )
    )
)
#: Figure -> its part and title in Snakemake's report, and the inputs of ``plot``.
FIGURES = {
    "stage1_selection": ("Stage 1", "RFT data", of_all_seeds(["<variant_data>/stage1_level1/rft_data/selection.json"])),
    "stage1_training": ("Stage 1", "Training", of_all_seeds(["<models>/stage1-rft/metrics.jsonl"])),
    "stage1_accuracy": ("Stage 1", "Accuracy", [rules.summarize_stage1.output.csv]),
    "exposure": ("Data", "Exposure by function", rules.describe_datasets.output.descriptions),
    "accuracy_by_level": ("Stage 2", "Accuracy by level", [rules.summarize_accuracy.output.parquet]),
    "accuracy_by_split": ("Stage 2", "Accuracy by split", [rules.summarize_splits.output.parquet]),
    "learning_curves": (
        "Stage 2",
        "Learning curves",
        [rules.summarize_accuracy.output.parquet, *[selection for _, selection in RFT_RUNS], *RL_METRICS],
    ),
    "training_dynamics": ("Stage 2", "Training dynamics", RL_METRICS),
    "pass_at_k": ("Stage 2", "pass@k", [rules.summarize_passk.output.parquet]),
    "failures": ("Stage 2", "Failures", [rules.summarize_failures.output.parquet]),
    "sweep": ("Sweep", "Accuracy at every point", [rules.summarize_sweep.output.csv]),
    "countdown_accuracy": ("Countdown", "Accuracy on Countdown", [rules.summarize_countdown.output.parquet]),
}

#: Figures of the evaluation: they show the paper's points only where its problems are of the paper's kind.
BESIDE_PAPER = ("accuracy_by_level", "learning_curves")

for name, (category, title, files) in FIGURES.items():
    published = settings.figures.published and (name not in BESIDE_PAPER or settings.compares_with_paper())

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
            spec=tracked(settings.figures.model_copy(update={"published": published}), code=6),
            figure=name,
            stem=subpath(output[0], strip_suffix=FIRST_FORMAT),
        shell:
            "run_logged {log:q} plot {params.figure} {input:q} --spec {params.spec:q} --stem {params.stem:q}"


#: Model -> its evaluation with the first seed; model and set of problems -> the responses that the page of responses shows.
FIRST = {model: in_run(f"{SWEPT}{names.variant(settings.seeds_of(model)[0])}results/evaluation/{model}") for model in MODELS}
SHOWN = {f"{model}/{HELD_OUT}": f"{FIRST[model]}/{HELD_OUT}/sampled/rollouts.parquet" for model in MODELS} | {
    f"{model}/{definitions}": f"{FIRST[model]}/{definitions}/rollouts.parquet"
    for model in TESTED_AFTER_STAGE1
    for definitions in DEFINITIONS
}


rule write_samples:
    """Write the page of responses: of all models, to filter and to compare."""
    input:
        rollouts=list(SHOWN.values()),
    output:
        page=page("samples", "Run", "Responses"),
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
        spec=tracked(settings.samples, **GRADING, code=2),
        tested=specs.split_names(settings, bool(OWN_EVALUATION))[0],
        rollouts=named("rollouts", list(SHOWN)),
    shell:
        "run_logged {log:q} write_samples --spec {params.spec:q} --rollouts {params.rollouts:q} --tested {params.tested:q}"
        " --output {output.page:q}"


rule write_summary:
    """Summarize the run in tables, with the paper's numbers."""
    input:
        accuracy=rules.summarize_accuracy.output.parquet,
        comparisons=rules.compare_models.output.parquet,
        passk=rules.summarize_passk.output.parquet,
        failures=rules.summarize_failures.output.parquet,
        dataset=descriptions()["own_evaluation" if OWN_EVALUATION else settings.evaluation.dataset],
        metrics=RL_METRICS,
        selections=[path for _, path in RFT_RUNS],
        fine_tuned=[path for path, _ in RFT_RUNS],
    output:
        summary="<results>/summary.md",
        page=page("summary", "Run", "Summary"),
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
            group=of_variant("stage2.rl.rollouts.samples"),
            code=6,
        ),
    shell:
        "run_logged {log:q} write_summary --spec {params.spec:q} --accuracy {input.accuracy:q}"
        " --comparisons {input.comparisons:q} --passk {input.passk:q} --failures {input.failures:q} --dataset {input.dataset:q}"
        " --metrics {input.metrics:q} --selections {input.selections:q} --fine-tuned {input.fine_tuned:q}"
        " --output {output.summary:q} --page {output.page:q}"


rule record_versions:
    """Write the table of package versions that the run uses."""
    output:
        versions="<results>/versions.md",
        page=page("versions", "Run", "Versions"),
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
        "run_logged {log:q} record_versions --spec {params.spec:q} --output {output.versions:q} --page {output.page:q}"
