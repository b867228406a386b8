"""Stage 2, RFT: each iteration rolls out its own problems with the previous iteration's model, and fine-tunes that model."""

RFT = settings.stage2.rft
#: Problems of an iteration.
CHUNK_SIZE = of_variant("stage2.rft.examples_per_iteration")
ITERATION = "<variant_data>/stage2_rft_level2/iter{iteration}"
LAST = RFT.num_iterations - 1


rule create_chunk:
    """Cut the problems of one iteration out of the shuffled training problems."""
    input:
        problems=lambda wildcards: settings.use.stage2_rft_problems
        or f"<data>/{settings_of(wildcards).stage2.rft.dataset}/train.parquet",
    output:
        problems="<data>/stage2_level2_rft/{iteration}.parquet",
    log:
        "<logs>/create_chunk/{iteration}.log",
    benchmark:
        "<benchmarks>/results/create_chunk/{iteration}.tsv"
    priority: 20
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        spec=tracked(
            iteration=lambda wildcards: int(wildcards.iteration), size=CHUNK_SIZE, seed=of_variant("stage2.rft.chunk_seed")
        ),
        iterations=flags(iterations=RFT.num_iterations),
    shell:
        "run_logged {log:q} create_chunk --spec {params.spec:q} --problems {input.problems:q} --output {output.problems:q}"
        " {params.iterations}"


use rule generate_rollouts as generate_iteration_rollouts with:
    """Generate rollouts for one shard of an iteration's problems, with the previous iteration's model."""
    input:
        model=model_before,
        problems=rules.create_chunk.output.problems,
    output:
        rollouts=f"{ITERATION}/rollouts/{{shard}}.parquet",
    log:
        "<variant_logs>/generate_rollouts/stage2_rft_level2/iter{iteration}/{shard}.log",
    benchmark:
        "<variant_benchmarks>/results/generate_rollouts/stage2_rft_level2/iter{iteration}/{shard}.tsv"
    resources:
        **rollout_job(
            "generate_rollouts",
            of_variant("stage2.rft.rollouts"),
            CHUNK_SIZE,
            settings.rollout_engine.shard_size,
            copies=3,
        ),
    params:
        spec=tracked(shard(CHUNK_SIZE), **ENGINE, rollouts=of_variant("stage2.rft.rollouts")),


use rule gather_rollouts as gather_iteration_rollouts with:
    """Join the rollouts of all shards of an iteration in one file."""
    input:
        shards=of_shards(rules.generate_iteration_rollouts.output, CHUNK_SIZE),
    output:
        rollouts=f"{ITERATION}/rollout.parquet",
    log:
        "<variant_logs>/gather_rollouts/stage2_rft_level2/iter{iteration}.log",
    benchmark:
        "<variant_benchmarks>/results/gather_rollouts/stage2_rft_level2/iter{iteration}.tsv"
    params:
        spec=tracked(shards=lambda wildcards: len(shards(CHUNK_SIZE(wildcards)))),


use rule select_rft_data as select_iteration_data with:
    """Select the correct responses of an iteration as training examples."""
    input:
        rollouts=rules.gather_iteration_rollouts.output.rollouts,
    output:
        train=f"{ITERATION}/rft_data/train.parquet",
        test=f"{ITERATION}/rft_data/test.parquet",
        selection=f"{ITERATION}/rft_data/selection.json",
    log:
        "<variant_logs>/select_rft_data/stage2_rft_level2/iter{iteration}.log",
    benchmark:
        "<variant_benchmarks>/results/select_rft_data/stage2_rft_level2/iter{iteration}.tsv"
    threads: selection_threads(CHUNK_SIZE, of_variant("stage2.rft.rollouts"))
    params:
        # Stage 2's prompts have no definitions, so they stay as they are.
        spec=tracked(selection=of_variant("stage2.rft.selection"), template=None, **GRADING, code=specs.SELECTION_CODE),
        allow_empty=flags(allow_empty=RFT.on_empty_selection == "keep_model"),


use rule train_sft as train_iteration with:
    """Train the model of an iteration: fine-tune the previous one on its own correct responses."""
    input:
        model=model_before,
        train=rules.select_iteration_data.output.train,
        test=rules.select_iteration_data.output.test,
    output:
        **trained("<models>/stage2-rft-iter{iteration}"),
    log:
        "<variant_logs>/train_sft/stage2-rft-iter{iteration}.log",
    benchmark:
        "<variant_benchmarks>/results/train_sft/stage2-rft-iter{iteration}.tsv"
    conda:
        environment(RFT.sft.engine)
    threads: settings.training.stage2_threads
    resources:
        **training_job(
            "train_sft",
            lambda wildcards: estimate_sft(
                own := settings_of(wildcards),
                own.stage2.rft.sft,
                own.stage2.rft.rollouts,
                own.stage2.rft.selection,
                own.stage2.rft.examples_per_iteration,
            ),
        ),
    params:
        spec=tracked(sft=of_variant("stage2.rft.sft"), code=specs.SFT_CODE),
        speed=flags(
            micro_batch_size=settings.training.micro_batch_size,
            save_every=settings.training.save_every,
            log_every=settings.training.log_every,
            allow_empty=RFT.on_empty_selection == "keep_model",
            **training_places(RFT.sft.engine),
        ),


rule link_iteration_data:
    """Link the rollouts and RFT data of the last iteration under names without its number."""
    input:
        expand(rules.gather_iteration_rollouts.output, iteration=LAST, allow_missing=True),
        expand(rules.select_iteration_data.output, iteration=LAST, allow_missing=True),
    output:
        "<variant_data>/stage2_rft_level2/rollout.parquet",
        "<variant_data>/stage2_rft_level2/rft_data/train.parquet",
        "<variant_data>/stage2_rft_level2/rft_data/test.parquet",
        "<variant_data>/stage2_rft_level2/rft_data/selection.json",
    log:
        "<variant_logs>/link_iteration_data.log",
    benchmark:
        "<variant_benchmarks>/results/link_iteration_data.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(),
    shell:
        "run_logged {log:q} link_iteration --targets {input:q} --links {output:q}"


use rule link_iteration_data as link_iteration_model with:
    """Link the model of the last iteration under a name without its number."""
    input:
        expand(rules.train_iteration.output, iteration=LAST, allow_missing=True),
    output:
        **trained("<models>/stage2-rft"),
    log:
        "<variant_logs>/link_iteration_model.log",
    benchmark:
        "<variant_benchmarks>/results/link_iteration_model.tsv"
    localrule: True
