"""Problems: those of every dataset, and their descriptions."""

#: Stage-1 problems: made, or the user's own.
STAGE1_TRAIN = settings.use.stage1_problems or f"<data>/{names.STAGE1_DATASET}/train.parquet"


rule create_problems:
    """Sample the problems of one split of a dataset."""
    output:
        problems="<data>/{dataset}/{split}.parquet",
    log:
        "<logs>/create_problems/{dataset}-{split}.log",
    benchmark:
        "<benchmarks>/results/create_problems/{dataset}-{split}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(1000),
        runtime=growing(30, "minutes"),
    params:
        spec=tracked(
            lambda wildcards: specs.problems(settings_of(wildcards), wildcards.dataset, wildcards.split), code=specs.PROBLEMS_CODE
        ),
    shell:
        "run_logged {log:q} create_problems --spec {params.spec:q} --output {output.problems:q}"


rule describe_datasets:
    """Describe every dataset: rows, levels, exposure by function, overlaps."""
    input:
        files=list(problem_files().values()),
    output:
        descriptions=list(descriptions().values()),
    log:
        "<logs>/describe_datasets.log",
    benchmark:
        "<benchmarks>/results/describe_datasets.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(1000),
        runtime=growing(30, "minutes"),
    params:
        spec=tracked(disjoint=lambda wildcards: settings_of(wildcards).problems.sampler == "balanced", **TASK_SOURCE),
        files=named("files", problem_files()),
        outputs=named("descriptions", descriptions()),
    shell:
        "run_logged {log:q} describe_datasets --spec {params.spec:q} --files {params.files:q} --outputs {params.outputs:q}"
