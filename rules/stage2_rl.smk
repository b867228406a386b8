"""Stage 2, RL: one model for each curriculum."""


rule train_rl:
    """Train the Stage-1 model by GRPO on the problems of a curriculum."""
    input:
        model=model_files("stage1-rft"),
        data=lambda wildcards: list(curriculum_sources(wildcards).values()),
    output:
        **trained("<models>/stage2-rl-{curriculum}"),
    log:
        "<variant_logs>/train_rl/{curriculum}.log",
    benchmark:
        "<variant_benchmarks>/results/train_rl/{curriculum}.tsv"
    priority: 10
    conda:
        environment(settings.stage2.rl.engine)
    threads: settings.training.stage2_threads
    resources:
        **training_job(
            "train_rl", lambda wildcards: estimate_rl(own := settings_of(wildcards), own.stage2.rl.curricula[wildcards.curriculum])
        ),
    params:
        spec=tracked(
            rl=of_variant("stage2.rl", GRPOConfig),
            phases=by("curriculum", of_variant("stage2.rl.curricula")),
            scoring=of_variant("scoring"),
            **TASK_SOURCE,
            code=3,
        ),
        data=named("data", curriculum_sources),
        model=subpath(input[0], parent=True),
        folder=subpath(output[0], parent=True),
        speed=flags(
            micro_batch_size=settings.training.rl_micro_batch_size,
            save_every=settings.training.rl_save_every,
            batch_size=settings.rollout_engine.batch_size,
            keep_rollouts=settings.training.keep_rollouts,
            on_empty_step=settings.stage2.rl.on_empty_step,
            on_incomplete_step=settings.stage2.rl.on_incomplete_step,
            validation=lambda wildcards: specs.validation(settings_of(wildcards)),
            **training_places(settings.stage2.rl.engine),
        ),
    shell:
        "run_logged {log:q} train_rl --spec {params.spec:q} --model {params.model:q} --data {params.data:q}"
        " --output {params.folder:q} {params.speed} --threads {threads}"
