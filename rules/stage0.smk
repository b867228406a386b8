"""Stage 0: a warm-up on worked examples, if ``stage0.examples`` is above 0, from which Stage 1 starts in place of the base."""


rule create_warmup_examples:
    """Create worked examples with definitions visible."""
    output:
        train="<data>/stage0_warmup/train.parquet",
        test="<data>/stage0_warmup/test.parquet",
    log:
        "<logs>/create_warmup_examples.log",
    benchmark:
        "<benchmarks>/results/create_warmup_examples.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(1000),
        runtime=growing(30, "minutes"),
    params:
        spec=tracked(
            of_variant("stage0", Warmup),
            task=settings.problems.task,
            template=of_variant("problems.template"),
            **TASK_SOURCE,
        ),
    shell:
        "run_logged {log:q} create_warmup_examples --spec {params.spec:q} --train {output.train:q} --test {output.test:q}"


use rule train_sft as train_warmup with:
    """Fine-tune the base model on worked examples."""
    input:
        model=model_files("base"),
        train=rules.create_warmup_examples.output.train,
        test=rules.create_warmup_examples.output.test,
    output:
        **trained(f"<models>/{names.STAGE0}"),
    log:
        "<variant_logs>/train_sft/stage0.log",
    benchmark:
        "<variant_benchmarks>/results/train_sft/stage0.tsv"
    conda:
        environment(settings.stage0.sft.engine)
    resources:
        **training_job("train_sft", lambda wildcards: estimate_warmup(settings_of(wildcards))),
    params:
        spec=tracked(sft=of_variant("stage0.sft"), code=specs.SFT_CODE),
        speed=flags(
            micro_batch_size=settings.training.micro_batch_size,
            save_every=settings.training.save_every,
            log_every=settings.training.log_every,
            **training_places(settings.stage0.sft.engine),
        ),
