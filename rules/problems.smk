"""Problems of the string task."""


rule create_problems:
    """Sample the problems of one split of a data set."""
    output:
        problems=problems_file("{dataset}", "{split}"),
    log:
        run_path("logs/create_problems/{dataset}-{split}.log"),
    benchmark:
        run_path("benchmarks/results/create_problems/{dataset}-{split}.tsv")
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        spec=problems_spec,
    shell:
        "python $SCRIPTS/create_problems.py --spec {params.spec:q} --output {output.problems:q} 2>&1 | tee {log:q}"
