"""Rollouts to select training data from: one job per shard, then all shards in one file."""


rule generate_rollouts:
    """Rollouts of one shard: Stage-1 problems with definitions by the base model, or a chunk by the iteration before."""
    input:
        problems=rollout_problems,
        model=rolled_out_files,
    output:
        rollouts="<data>/{round}/rollouts/{shard}.parquet",
    log:
        "<logs>/generate_rollouts/{round}/{shard}.log",
    benchmark:
        "<benchmarks>/results/generate_rollouts/{round}/{shard}.tsv"
    priority: 20
    conda:
        environment(settings.rollout_engine.name)
    threads: settings.rollout_engine.threads
    resources:
        **rollout_job("generate_rollouts", estimate_round),
    params:
        spec=rollout_spec,
        problems=problems_argument,
        model=model_input_folder,
        work=rollout_work,
    shell:
        'python "$SCRIPTS"/generate_rollouts.py --spec {params.spec:q} {params.problems} --model {params.model:q}'
        " --output {output.rollouts:q} {params.work} --threads {threads} 2>&1 | tee {log:q}"


rule gather_rollouts:
    """All shards of the rollouts in one file."""
    input:
        shards=rollout_shards,
    output:
        rollouts="<data>/{round}/rollout.parquet",
    log:
        "<logs>/gather_rollouts/{round}.log",
    benchmark:
        "<benchmarks>/results/gather_rollouts/{round}.tsv"
    priority: 20
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(1000),
        runtime=growing(30, "minutes"),
    params:
        spec=gather_spec,
    shell:
        'python "$SCRIPTS"/gather_rollouts.py --spec {params.spec:q} --shards {input.shards:q} --output {output.rollouts:q} 2>&1 | tee {log:q}'
