"""Problems of the string task."""


rule create_problems:
    """Sample the problems of one split of a dataset."""
    output:
        problems=problems_file("{dataset}", "{split}"),
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
        spec=problems_spec,
    shell:
        'python "$SCRIPTS"/create_problems.py --spec {params.spec:q} --output {output.problems:q} 2>&1 | tee {log:q}'


rule describe_datasets:
    """Rows, levels, exposure by function and overlaps of every dataset."""
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
        spec=fixed(stages.describe_datasets(settings)),
        files=named("files", problem_files()),
        outputs=named("descriptions", descriptions()),
    shell:
        'python "$SCRIPTS"/describe_datasets.py --spec {params.spec:q} --files {params.files:q}'
        " --outputs {params.outputs:q} 2>&1 | tee {log:q}"


rule create_chunk:
    """The problems of one RFT iteration: a cut of the shuffled training problems."""
    input:
        problems=chunk_source(),
    output:
        problems=chunk("{iteration}"),
    log:
        "<logs>/create_chunk/{iteration}.log",
    benchmark:
        "<benchmarks>/results/create_chunk/{iteration}.tsv"
    priority: 20
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        spec=chunk_spec,
        iterations=untracked(settings.stage2.rft.num_iterations),
    shell:
        'python "$SCRIPTS"/create_chunk.py --spec {params.spec:q} --problems {input.problems:q} --iterations {params.iterations}'
        " --output {output.problems:q} 2>&1 | tee {log:q}"
