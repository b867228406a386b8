"""pass@k: many responses to few problems, and the share of problems that one of k solves."""


use rule generate_rollouts as generate_passk_rollouts with:
    """Generate many responses of one model to a shard of the pass@k problems."""
    input:
        model=by("model", EVALUATED),
        problems=OWN_PASSK or f"<data>/{settings.passk.dataset}/test.parquet",
    output:
        rollouts="<variant_results>/passk/{model}/rollouts/{shard}.parquet",
    log:
        "<variant_logs>/generate_passk_rollouts/{model}/{shard}.log",
    benchmark:
        "<variant_benchmarks>/results/generate_passk_rollouts/{model}/{shard}.tsv"
    priority: 5  # the longest first, or one core works alone at the end
    resources:
        **rollout_job(
            "generate_passk_rollouts",
            settings.passk.rollouts,
            passk_problems,
            settings.passk.shard_size,
        ),
    params:
        spec=tracked(
            shard(passk_problems, settings.passk.shard_size),
            **ENGINE,
            rollouts=settings.passk.rollouts,
        ),


rule count_passk:
    """Count the correct responses of one model to each problem."""
    input:
        rollouts=of_shards(rules.generate_passk_rollouts.output, passk_problems, settings.passk.shard_size),
    output:
        counts="<variant_results>/passk/{model}/counts.parquet",
    log:
        "<variant_logs>/count_passk/{model}.log",
    benchmark:
        "<variant_benchmarks>/results/count_passk/{model}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(1000),
        runtime=growing(30, "minutes"),
    params:
        spec=tracked(**GRADING, code=2),
    shell:
        "run_logged {log:q} count_passk --spec {params.spec:q} --rollouts {input.rollouts:q} --output {output.counts:q}"


use rule summarize_accuracy as summarize_passk with:
    """Make the table of pass@k by model and level."""
    input:
        of_models(rules.count_passk.output, settings.passk.models),
    output:
        parquet="<results>/passk.parquet",
        csv="<results>/passk.csv",
        page=page("passk", "Stage 2", "pass@k (table)", caption="pass_at_k"),
    log:
        "<logs>/summarize_passk.log",
    benchmark:
        "<benchmarks>/results/summarize_passk.tsv"
    localrule: True
    params:
        spec=tracked(**runs(settings.passk.models), code=2),
        table="passk",
