"""Stage 1: rollouts with definitions visible, selection of correct ones, and fine-tuning on these."""

ENGINE = specs.engine(settings)
#: Stage-1 training examples by split: selected, or the user's own.
STAGE1_RFT_DATA = specs.example_files(settings.use.stage1_rft_data or "<variant_data>/stage1_level1/rft_data")


rule generate_rollouts:
    """Generate rollouts of the base model, or the one after a warm-up, for one shard of Stage-1 problems, definitions visible.

    A job samples the problems that it needs, as its spec says, instead of reading train.parquet: that is replaced when there are
    more problems, or when it was deleted, and Snakemake would rerun every shard (``ancient`` helps only while the file exists).
    """
    input:
        model=model_files(settings.start_model()),
        problems=settings.use.stage1_problems or [],
    output:
        rollouts="<variant_data>/stage1_level1/rollouts/{shard}.parquet",
    log:
        "<variant_logs>/generate_rollouts/stage1_level1/{shard}.log",
    benchmark:
        "<variant_benchmarks>/results/generate_rollouts/stage1_level1/{shard}.tsv"
    priority: 20
    conda:
        environment(settings.rollout_engine.name)
    threads: settings.rollout_engine.threads
    resources:
        **rollout_job(
            "generate_rollouts", of_variant("stage1.rollouts"), stage1_problems, settings.rollout_engine.shard_size, copies=3
        ),
    params:
        spec=tracked(
            lambda wildcards: specs.stage1_shard(settings_of(wildcards), int(wildcards.shard), stage1_problems(wildcards)),
            **ENGINE,
            rollouts=of_variant("stage1.rollouts"),
        ),
        model=subpath(input[0], parent=True),
        speed=flags(
            batch_size=settings.rollout_engine.batch_size,
            gpus=settings.rollout_engine.gpus,
            jobs_per_gpu=settings.rollout_engine.jobs_per_gpu,
            options=json.dumps(settings.rollout_engine.speed_options()),
        ),
    shell:
        "run_logged {log:q} generate_rollouts --spec {params.spec:q} --problems {input.problems:q} --model {params.model:q}"
        " --output {output.rollouts:q} {params.speed} --threads {threads}"


rule gather_rollouts:
    """Join the rollouts of all shards in one file."""
    input:
        shards=of_shards(rules.generate_rollouts.output, stage1_problems),
    output:
        rollouts="<variant_data>/stage1_level1/rollout.parquet",
    log:
        "<variant_logs>/gather_rollouts/stage1_level1.log",
    benchmark:
        "<variant_benchmarks>/results/gather_rollouts/stage1_level1.tsv"
    priority: 20
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(1000),
        runtime=growing(30, "minutes"),
    params:
        spec=tracked(shards=lambda wildcards: len(shards(stage1_problems(wildcards)))),
    shell:
        "run_logged {log:q} gather_rollouts --spec {params.spec:q} --shards {input.shards:q} --output {output.rollouts:q}"


rule select_rft_data:
    """Select the correct responses to problems that are not always solved, as training examples without definitions."""
    input:
        rollouts=rules.gather_rollouts.output.rollouts,
    output:
        train="<variant_data>/stage1_level1/rft_data/train.parquet",
        test="<variant_data>/stage1_level1/rft_data/test.parquet",
        selection="<variant_data>/stage1_level1/rft_data/selection.json",
    log:
        "<variant_logs>/select_rft_data/stage1_level1.log",
    benchmark:
        "<variant_benchmarks>/results/select_rft_data/stage1_level1.tsv"
    priority: 20
    conda:
        ENVIRONMENT
    threads: selection_threads(stage1_problems, of_variant("stage1.rollouts"))
    resources:
        mem_mb=growing(2000),
        runtime=growing(60, "minutes"),
    params:
        spec=tracked(
            selection=of_variant("stage1.rft", Selection),
            template=stage1_template,
            **GRADING,
            code=specs.SELECTION_CODE,
        ),
        allow_empty="",
    shell:
        "run_logged {log:q} select_rft_data --spec {params.spec:q} --rollouts {input.rollouts:q} --train {output.train:q}"
        " --test {output.test:q} --summary {output.selection:q} {params.allow_empty} --workers {threads}"


rule train_sft:
    """Train the Stage-1 model: fine-tune the base, or the model after a warm-up, on its own correct responses."""
    input:
        model=model_files(settings.start_model()),
        train=STAGE1_RFT_DATA["train"],
        test=STAGE1_RFT_DATA["test"],
    output:
        **trained("<models>/stage1-rft"),
    log:
        "<variant_logs>/train_sft/stage1-rft.log",
    benchmark:
        "<variant_benchmarks>/results/train_sft/stage1-rft.tsv"
    priority: 20
    conda:
        environment(settings.stage1.sft.engine)
    threads: settings.training.threads
    resources:
        **training_job(
            "train_sft",
            lambda wildcards: estimate_sft(
                own := settings_of(wildcards),
                own.stage1.sft,
                own.stage1.rollouts,
                own.stage1.rft,
                stage1_problems(wildcards),
                STAGE1_EXAMPLES,
            ),
        ),
    params:
        spec=tracked(sft=of_variant("stage1.sft"), code=specs.SFT_CODE),
        model=subpath(input[0], parent=True),
        folder=subpath(output[0], parent=True),
        speed=flags(
            micro_batch_size=settings.training.micro_batch_size,
            save_every=settings.training.save_every,
            log_every=settings.training.log_every,
            **training_places(settings.stage1.sft.engine),
        ),
    shell:
        "run_logged {log:q} train_sft --spec {params.spec:q} --model {params.model:q} --train {input.train:q} --test {input.test:q}"
        " --output {params.folder:q} {params.speed} --threads {threads}"
