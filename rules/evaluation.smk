"""Evaluation: accuracy on test problems, comparisons, failures."""

#: Model -> its files.
EVALUATED = {model: model_files(model) for model in MODELS}
#: Problems that all models are tested with -> their file.
TESTS = {HELD_OUT: OWN_EVALUATION or f"<data>/{settings.evaluation.dataset}/test.parquet"}
TESTS |= {dataset: f"<data>/{dataset}/test.parquet" for dataset in settings.evaluation.splits}
#: The models whose differences are tested: Stage 1's, the last of RFT, those of RL, and the user's own.
COMPARED = [names.STAGE1, RFT_MODELS[-1], *RL_MODELS, *settings.use.models]
TESTED_AFTER_STAGE1 = MODELS[: MODELS.index(names.STAGE1) + 1]


use rule generate_rollouts as generate_stage1_test_rollouts with:
    """Generate rollouts of the models up to Stage 1 on Stage 1's test problems, definitions visible or hidden."""
    input:
        model=by("model", EVALUATED),
        problems="<data>/stage1_level1/test.parquet",
    output:
        rollouts="<variant_results>/evaluation/{model}/{definitions}/rollouts.parquet",
    log:
        "<variant_logs>/generate_stage1_test_rollouts/{model}-{definitions}.log",
    benchmark:
        "<variant_benchmarks>/results/generate_stage1_test_rollouts/{model}-{definitions}.tsv"
    priority: 0
    resources:
        **rollout_job(
            "generate_stage1_test_rollouts",
            of_variant("evaluation.rollouts"),
            lambda wildcards: settings_of(wildcards).datasets[names.STAGE1_DATASET].test,
        ),
    params:
        spec=tracked(
            definitions=lambda wildcards: wildcards.definitions == "visible" and settings_of(wildcards).problems.hints(1),
            template=of_variant("problems.template"),
            **TASK_SOURCE,
            **ENGINE,
            rollouts=of_variant("evaluation.rollouts"),
        ),


rule score_rollouts:
    """Score the responses to Stage 1's test problems."""
    input:
        rollouts=rules.generate_stage1_test_rollouts.output.rollouts,
    output:
        verdicts="<variant_results>/evaluation/{model}/{definitions}/verdicts.parquet",
    log:
        "<variant_logs>/score_rollouts/{model}-{definitions}.log",
    benchmark:
        "<variant_benchmarks>/results/score_rollouts/{model}-{definitions}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        spec=tracked(**GRADING, code=specs.SCORING_CODE),
        decodings=[],
    shell:
        "run_logged {log:q} score_rollouts --spec {params.spec:q} --rollouts {input.rollouts:q}"
        " --decodings {params.decodings:q} --output {output.verdicts:q}"


rule summarize_stage1:
    """Make the table of Stage-1 accuracy by model, definitions and level, with 95% intervals."""
    input:
        verdicts=of_models(rules.score_rollouts.output, TESTED_AFTER_STAGE1, definitions=DEFINITIONS),
        train=STAGE1_TRAIN,
        test="<data>/stage1_level1/test.parquet",
    output:
        csv="<results>/stage1_accuracy.csv",
        markdown="<results>/stage1_accuracy.md",
        page=page("stage1_accuracy", "Stage 1", "Accuracy (table)"),
    log:
        "<logs>/summarize_stage1.log",
    benchmark:
        "<benchmarks>/results/summarize_stage1.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(**runs(TESTED_AFTER_STAGE1), code=4),
    shell:
        "run_logged {log:q} summarize_stage1 {input.verdicts:q} --spec {params.spec:q} --train {input.train:q}"
        " --test {input.test:q} --csv {output.csv:q} --markdown {output.markdown:q} --page {output.page:q}"


use rule generate_rollouts as generate_held_out_rollouts with:
    """Generate the responses of one model to the evaluation's problems or to those of another split, sampled or greedy."""
    input:
        model=by("model", EVALUATED),
        problems=by("tested", TESTS),
    output:
        rollouts="<variant_results>/evaluation/{model}/{tested}/{decoding}/rollouts.parquet",
    log:
        "<variant_logs>/generate_held_out_rollouts/{model}-{tested}-{decoding}.log",
    benchmark:
        "<variant_benchmarks>/results/generate_held_out_rollouts/{model}-{tested}-{decoding}.tsv"
    priority: 0
    resources:
        **rollout_job(
            "generate_held_out_rollouts",
            decoded,
            tested_problems,
        ),
    params:
        spec=tracked(**ENGINE, rollouts=decoded),


use rule score_rollouts as score_held_out with:
    """Score all responses of a model to the evaluation's problems."""
    input:
        rollouts=expand(rules.generate_held_out_rollouts.output, tested=HELD_OUT, decoding=DECODINGS, allow_missing=True),
    output:
        verdicts="<variant_results>/evaluation/{model}/verdicts.parquet",
    log:
        "<variant_logs>/score_held_out/{model}.log",
    benchmark:
        "<variant_benchmarks>/results/score_held_out/{model}.tsv"
    localrule: True
    params:
        decodings=DECODINGS,


use rule score_rollouts as score_split with:
    """Score the sampled responses of a model to the problems of a split."""
    input:
        rollouts=expand(rules.generate_held_out_rollouts.output, decoding="sampled", allow_missing=True),
    output:
        verdicts="<variant_results>/evaluation/{model}/{tested}/verdicts.parquet",
    log:
        "<variant_logs>/score_split/{model}-{tested}.log",
    benchmark:
        "<variant_benchmarks>/results/score_split/{model}-{tested}.tsv"
    localrule: True
    params:
        decodings=["sampled"],


rule summarize_accuracy:
    """Make the table of accuracy by model, decoding and level, with 95% intervals."""
    input:
        of_models(rules.score_held_out.output, MODELS),
    output:
        parquet="<results>/accuracy.parquet",
        csv="<results>/accuracy.csv",
        page=page("accuracy", "Stage 2", "Accuracy by level (table)", caption="accuracy_by_level"),
    log:
        "<logs>/summarize_accuracy.log",
    benchmark:
        "<benchmarks>/results/summarize_accuracy.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(**runs(MODELS), code=2),
        table="accuracy",
    shell:
        "run_logged {log:q} summarize {params.table} {input:q} --spec {params.spec:q} --parquet {output.parquet:q}"
        " --csv {output.csv:q} --page {output.page:q}"


rule summarize_splits:
    """Make the table of accuracy by split, model and level."""
    input:
        of_models(rules.score_held_out.output, MODELS),
        [of_models(rules.score_split.output, MODELS, tested=dataset) for dataset in settings.evaluation.splits],
    output:
        parquet="<results>/accuracy_by_split.parquet",
        csv="<results>/accuracy_by_split.csv",
        page=page("accuracy_by_split", "Stage 2", "Accuracy by split (table)"),
    log:
        "<logs>/summarize_splits.log",
    benchmark:
        "<benchmarks>/results/summarize_splits.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(**runs(MODELS), code=2),
        splits=specs.split_names(settings, bool(OWN_EVALUATION)),
    shell:
        "run_logged {log:q} summarize splits {input:q} --spec {params.spec:q} --splits {params.splits:q}"
        " --parquet {output.parquet:q} --csv {output.csv:q} --page {output.page:q}"


rule compare_models:
    """Test the differences between models on the same problems, at every level."""
    input:
        # Of every model a file per seed; a model that all seeds share has the same one for all.
        [
            expand(
                rules.score_held_out.output,
                model=model,
                variant=names.variant(seed if len(own) > 1 else own[0]),
                allow_missing=True,
            )
            for model, own in ((model, settings.seeds_of(model)) for model in COMPARED)
            for seed in settings.seeds
        ],
    output:
        parquet="<results>/comparisons.parquet",
        csv="<results>/comparisons.csv",
        markdown="<results>/comparisons.md",
        page=page("comparisons", "Stage 2", "Comparisons (table)"),
    log:
        "<logs>/compare_models.log",
    benchmark:
        "<benchmarks>/results/compare_models.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(models=COMPARED, seeds=settings.seeds, code=2),
    shell:
        "run_logged {log:q} summarize comparisons {input:q} --spec {params.spec:q} --parquet {output.parquet:q} --csv {output.csv:q}"
        " --markdown {output.markdown:q} --page {output.page:q}"


rule classify_failures:
    """Classify every sampled response to the evaluation's problems: correct, or why not."""
    input:
        rollouts="<variant_results>/evaluation/{model}/held-out/sampled/rollouts.parquet",
    output:
        failures="<variant_results>/evaluation/{model}/failures.parquet",
    log:
        "<variant_logs>/classify_failures/{model}.log",
    benchmark:
        "<variant_benchmarks>/results/classify_failures/{model}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        spec=tracked(levels=settings.failures.levels, **GRADING, code=2),
    shell:
        "run_logged {log:q} classify_failures --spec {params.spec:q} --rollouts {input.rollouts:q} --output {output.failures:q}"


use rule summarize_accuracy as summarize_failures with:
    """Make the table of failure classes by model and level."""
    input:
        of_models(rules.classify_failures.output, MODELS),
    output:
        parquet="<results>/failures.parquet",
        csv="<results>/failures.csv",
        page=page("failures", "Stage 2", "Failures (table)"),
    log:
        "<logs>/summarize_failures.log",
    benchmark:
        "<benchmarks>/results/summarize_failures.tsv"
    localrule: True
    params:
        table="failures",
