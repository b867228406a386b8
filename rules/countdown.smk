"""Countdown: transfer to it (paper §4.3), Stage 1 on strings and Countdown together, RL on strings alone, Countdown of more integers."""

TRANSFER = settings.countdown
#: Countdown problems, like strings, have no hints to hide, and one way to grade them, whatever ``scoring`` says.
COUNTDOWN_GRADING = {"answer_rule": "published"}
TRAINED_INTEGERS, TESTED_INTEGERS = specs.TRAINED_LEVEL, TRANSFER.test_levels()
#: Model of both tasks -> its folder: after Stage 1, and after each curriculum.
MULTI_FOLDERS = {names.MULTI: "<multi>/stage1-rft"} | {
    f"{names.MULTI_RL}{curriculum}": f"<multi>/{names.rl_model(curriculum)}" for curriculum in TRANSFER.curricula
}
#: Model that answers Countdown problems -> its files.
TRANSFERRED = {model: identifying_files(folder, MODEL_FILES["weights"]) for model, folder in MULTI_FOLDERS.items()} | {
    model: model_files(model) for model in TRANSFER.models
}
#: Split -> examples of each task.
TASK_EXAMPLES = {
    split: [STAGE1_RFT_DATA[split], f"<variant_countdown>/stage1/rft_data/{split}.parquet"] for split in ("train", "test")
}


wildcard_constraints:
    integers=r"\d+",
    transferred="|".join(TRANSFERRED),


use rule create_problems as create_countdown_problems with:
    """Create Countdown problems of one number of integers: 2 to train on, others to test with."""
    output:
        problems="<countdown>/train_{integers}number.parquet",
    log:
        "<logs>/create_problems/countdown-{integers}.log",
    benchmark:
        "<benchmarks>/results/create_problems/countdown-{integers}.tsv"
    params:
        spec=tracked(lambda wildcards: specs.countdown(settings, int(wildcards.integers)), code=specs.COUNTDOWN_CODE),


use rule generate_rollouts as generate_countdown_rollouts with:
    """Generate rollouts of the model that Stage 1 starts from, for one shard of Countdown problems of 2 integers."""
    input:
        model=model_files(settings.start_model()),
        problems=[],
    output:
        rollouts="<variant_countdown>/stage1/rollouts/{shard}.parquet",
    log:
        "<variant_logs>/generate_rollouts/countdown/{shard}.log",
    benchmark:
        "<variant_benchmarks>/results/generate_rollouts/countdown/{shard}.tsv"
    resources:
        **rollout_job("generate_rollouts", TRANSFER.rollouts, TRANSFER.train, settings.rollout_engine.shard_size, copies=3),
    params:
        spec=tracked(
            lambda wildcards: specs.countdown_shard(settings, int(wildcards.shard)),
            **ENGINE,
            rollouts=of_variant("countdown.rollouts"),
        ),


use rule gather_rollouts as gather_countdown_rollouts with:
    """Join the Countdown rollouts of all shards in one file."""
    input:
        shards=expand(rules.generate_countdown_rollouts.output, shard=shards(TRANSFER.train), allow_missing=True),
    output:
        rollouts="<variant_countdown>/stage1/rollout.parquet",
    log:
        "<variant_logs>/gather_rollouts/countdown.log",
    benchmark:
        "<variant_benchmarks>/results/gather_rollouts/countdown.tsv"
    params:
        spec=tracked(shards=len(shards(TRANSFER.train))),


use rule select_rft_data as select_countdown_data with:
    """Select the correct responses to Countdown problems that are not always solved."""
    input:
        rollouts=rules.gather_countdown_rollouts.output.rollouts,
    output:
        train="<variant_countdown>/stage1/rft_data/train.parquet",
        test="<variant_countdown>/stage1/rft_data/test.parquet",
        selection="<variant_countdown>/stage1/rft_data/selection.json",
    log:
        "<variant_logs>/select_rft_data/countdown.log",
    benchmark:
        "<variant_benchmarks>/results/select_rft_data/countdown.tsv"
    params:
        spec=tracked(selection=of_variant("countdown.rft"), template=None, **COUNTDOWN_GRADING, code=specs.SELECTION_CODE),


rule merge_examples:
    """Merge the training examples of both tasks, each with its source, in one shuffled file; likewise those held back."""
    input:
        train=TASK_EXAMPLES["train"],
        test=TASK_EXAMPLES["test"],
    output:
        train="<merged>/stage1_rft_data/train.parquet",
        test="<merged>/stage1_rft_data/test.parquet",
    log:
        "<variant_logs>/merge_examples.log",
    benchmark:
        "<variant_benchmarks>/results/merge_examples.tsv"
    priority: 20
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(4000),
        runtime=growing(30, "minutes"),
    params:
        spec=tracked(of_variant("countdown.mixture")),
        train=named("train", ["strings", "countdown"]),
        test=named("test", ["strings", "countdown"]),
        outputs=lambda wildcards, output: [output.train, output.test],
    shell:
        "run_logged {log:q} merge_examples --spec {params.spec:q} --train {params.train:q} --test {params.test:q}"
        " --outputs {params.outputs:q}"


use rule train_sft as train_multi_base with:
    """Train the Stage-1 model of both tasks."""
    input:
        model=model_files(settings.start_model()),
        train=rules.merge_examples.output.train,
        test=rules.merge_examples.output.test,
    output:
        **trained(MULTI_FOLDERS[names.MULTI]),
    log:
        "<variant_logs>/train_sft/multi-base.log",
    benchmark:
        "<variant_benchmarks>/results/train_sft/multi-base.tsv"
    threads: settings.training.stage2_threads  # beside the RL that starts from the model of strings alone
    resources:
        **training_job(
            "train_sft", lambda wildcards: estimate_merged(settings_of(wildcards), stage1_problems(wildcards), STAGE1_EXAMPLES)
        ),


use rule train_rl as train_multi_base_rl with:
    """Train the model of both tasks by GRPO on the string problems of a curriculum."""
    input:
        model=TRANSFERRED[names.MULTI],
        data=lambda wildcards: list(curriculum_sources(wildcards).values()),
    output:
        **trained("<multi>/stage2-rl-{curriculum}"),
    log:
        "<variant_logs>/train_rl/multi-base-{curriculum}.log",
    benchmark:
        "<variant_benchmarks>/results/train_rl/multi-base-{curriculum}.tsv"


use rule generate_rollouts as generate_countdown_test_rollouts with:
    """Generate the responses of one model to Countdown problems of one number of integers."""
    input:
        model=by("transferred", TRANSFERRED),
        problems=rules.create_countdown_problems.output.problems,
    output:
        rollouts="<variant_results>/countdown/{transferred}/{integers}/rollouts.parquet",
    log:
        "<variant_logs>/generate_countdown_test_rollouts/{transferred}-{integers}.log",
    benchmark:
        "<variant_benchmarks>/results/generate_countdown_test_rollouts/{transferred}-{integers}.tsv"
    priority: 0
    resources:
        **rollout_job("generate_held_out_rollouts", TRANSFER.test_rollouts, TRANSFER.test),
    params:
        spec=tracked(**ENGINE, rollouts=TRANSFER.test_rollouts),


use rule score_rollouts as score_countdown with:
    """Score the responses of a model to Countdown problems of all numbers of integers."""
    input:
        rollouts=expand(rules.generate_countdown_test_rollouts.output, integers=TESTED_INTEGERS, allow_missing=True),
    output:
        verdicts="<variant_results>/countdown/{transferred}/verdicts.parquet",
    log:
        "<variant_logs>/score_countdown/{transferred}.log",
    benchmark:
        "<variant_benchmarks>/results/score_countdown/{transferred}.tsv"
    localrule: True
    params:
        spec=tracked(**COUNTDOWN_GRADING, code=specs.SCORING_CODE),
        decodings=["sampled"] * len(TESTED_INTEGERS),


rule summarize_countdown:
    """Make the table of accuracy on Countdown by model and number of integers, with the paper's numbers."""
    input:
        of_known_models(of_models(rules.score_countdown.output, list(TRANSFERRED))),
    output:
        parquet="<results>/countdown_accuracy.parquet",
        csv="<results>/countdown_accuracy.csv",
        markdown="<results>/countdown_accuracy.md",
        page=page("countdown_accuracy", "Countdown", "Accuracy on Countdown (table)"),
    log:
        "<logs>/summarize_countdown.log",
    benchmark:
        "<benchmarks>/results/summarize_countdown.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(**runs(list(TRANSFERRED)), code=3),
    shell:
        "run_logged {log:q} summarize accuracy {input:q} --spec {params.spec:q} --parquet {output.parquet:q} --csv {output.csv:q}"
        " --markdown {output.markdown:q} --page {output.page:q}"
