from snakemake.utils import min_version

min_version("9.27")

# The folder of this file, also when another workflow imports it as a module; `workflow.basedir` is that workflow's folder.
CHECKOUT = str(workflow.current_basedir)


configfile: os.path.relpath(f"{CHECKOUT}/config/default.yaml")


if workflow.modifier.is_main_snakefile():

    report: "report/workflow.rst"


include: "rules/common.smk"


if settings.container:

    container: settings.container


include: "rules/internals.smk"
include: "rules/inputs.smk"
include: "rules/work.smk"
include: "rules/base_model.smk"
include: "rules/problems.smk"
include: "rules/stage1.smk"
include: "rules/stage0.smk"
include: "rules/stage2_rft.smk"
include: "rules/stage2_rl.smk"
include: "rules/evaluation.smk"
include: "rules/passk.smk"
include: "rules/countdown.smk"
include: "rules/sweep.smk"
include: "rules/figures.smk"
include: "rules/publish.smk"
include: "rules/hooks.smk"


# What Stage 1 reports of its training examples and of its model; nothing where these are the user's own.
SELECTED = (
    []
    if settings.use.stage1_rft_data
    else [*of_all_seeds([rules.select_rft_data.output.selection]), rules.plot_stage1_selection.output]
)
TRAINED = [] if settings.use.stage1_checkpoint else [rules.plot_stage1_training.output]
#: Figure -> whether it is left out: the user's own data or model takes the place of what it shows, or there is one split alone.
LEFT_OUT = {"stage1_selection": settings.use.stage1_rft_data, "stage1_training": settings.use.stage1_checkpoint}
LEFT_OUT |= {"accuracy_by_split": not settings.evaluation.splits}


if settings.stage0.examples:

    rule stage0:
        """Warm-up: the base model, fine-tuned on worked examples."""
        input:
            of_all_seeds(model_files(names.STAGE0)),
        localrule: True


rule stage1_create_problems:
    """Stage 1: Level-1 problems, train and test."""
    input:
        STAGE1_TRAIN,
        "<data>/stage1_level1/test.parquet",


rule stage1_create_train_data:
    """Stage 1: rollouts of the base model and the RFT data selected from them."""
    input:
        of_all_seeds(STAGE1_RFT_DATA.values()),
        STAGE1_TRAIN,
        SELECTED,


rule stage1_rft:
    """Stage 1: the fine-tuned model, its loss curve, and its accuracy before and after."""
    input:
        STAGE1_TRAIN,
        of_all_seeds(model_files("stage1-rft")),
        SELECTED,
        TRAINED,
        rules.summarize_stage1.output,
        rules.plot_stage1_accuracy.output,


rule stage2_create_problems:
    """Stage 2: problems to train on and to evaluate with, and what is in them."""
    input:
        list(problem_files(stage=2).values()),
        list(descriptions(stage=2).values()),
        rules.plot_exposure.output,


rule stage2_rft_create_problems:
    """Stage 2, RFT: the problems of each iteration."""
    input:
        expand(rules.create_chunk.output, iteration=range(settings.stage2.rft.num_iterations), allow_missing=True),


rule stage2_rft_create_train_data:
    """Stage 2, RFT: rollouts of the last iteration and what is selected from them; needs the iterations before."""
    input:
        of_all_seeds(rules.link_iteration_data.output),


rule stage2_rft_train:
    """Stage 2, RFT: the model of every iteration, its accuracy, and the last one's under its final name."""
    input:
        of_all_seeds(rules.link_iteration_data.output),
        of_all_seeds(rules.link_iteration_model.output),
        of_models(rules.score_held_out.output, RFT_MODELS),


for curriculum in CURRICULA:

    rule:
        """Stage 2, RL: the model of a curriculum, and its metrics by step."""
        name:
            f"stage2_rl_{curriculum}"
        input:
            of_all_seeds(model_files(names.rl_model(curriculum))),
        localrule: True


rule evaluate:
    """Accuracy by level of every model: base, Stage 1, RFT iterations, reinforcement learning."""
    input:
        rules.summarize_accuracy.output,
        rules.compare_models.output,
        [rules.summarize_splits.output, rules.plot_accuracy_by_split.output] if settings.evaluation.splits else [],
        rules.plot_accuracy_by_level.output,


rule passk:
    """pass@k by level."""
    input:
        rules.summarize_passk.output,
        rules.plot_pass_at_k.output,


rule analyze_failures:
    """Why responses are wrong, by model and level."""
    input:
        rules.summarize_failures.output,
        rules.plot_failures.output,


rule figures:
    """All figures but those of Countdown and of a sweep."""
    input:
        [
            getattr(rules, f"plot_{name}").output
            for name, (part, *_) in FIGURES.items()
            if part not in ("Countdown", "Sweep") and not LEFT_OUT.get(name)
        ],


rule create_countdown_data:
    """Countdown: problems of 2 integers to train on, and of more to test with."""
    input:
        expand(rules.create_countdown_problems.output, integers=[TRAINED_INTEGERS, *TESTED_INTEGERS], allow_missing=True),


rule stage1_collect_train_data:
    """Countdown: rollouts of the base model on problems of 2 integers, and Stage 1's training examples of both tasks."""
    input:
        expand(rules.create_countdown_problems.output, integers=TRAINED_INTEGERS, allow_missing=True),
        of_all_seeds([*rules.gather_countdown_rollouts.output, *rules.merge_examples.output]),


rule multi_base_stage1_rft:
    """Countdown: the Stage-1 model of both tasks."""
    input:
        of_all_seeds(rules.train_multi_base.output),


rule multi_base_stage2_rl:
    """Countdown: RL on strings alone, from the Stage-1 model of both tasks."""
    input:
        of_known_models(of_all_seeds(expand(rules.train_multi_base_rl.output, curriculum=TRANSFER.curricula, allow_missing=True))),


rule countdown:
    """Countdown: what carries over from strings to problems of 3 and more integers (not part of `all`)."""
    input:
        rules.summarize_countdown.output,
        rules.plot_countdown_accuracy.output,
        rules.create_countdown_data.input,
        rules.stage1_collect_train_data.input,
        rules.multi_base_stage1_rft.input,
        rules.multi_base_stage2_rl.input,


rule publish:
    """Cards of models and datasets, beside them, with the hub's metadata (not part of `all`); `fofg push` uploads a folder."""
    input:
        rules.write_model_cards.output,
        rules.write_dataset_cards.output,


rule sweep:
    """Accuracy at every point of a grid over configuration keys, in one table and one figure (not part of `all`)."""
    input:
        rules.summarize_sweep.output,
        rules.plot_sweep.output,


rule tiny_base:
    """The embedded base model, pre-trained from scratch (minutes on a GPU, a day or two on a CPU)."""
    input:
        rules.build_tiny_base.output,


rule all:
    """Everything: all data, models, evaluations, figures and the summary."""
    default_target: True
    input:
        rules.stage1_rft.input,
        rules.stage2_create_problems.input,
        rules.describe_datasets.output,
        rules.stage2_rft_train.input,
        rules.evaluate.input,
        rules.passk.input,
        rules.analyze_failures.input,
        rules.figures.input,
        rules.write_summary.output,
        rules.write_samples.output,
        rules.record_versions.output,


if settings.sweep:
    leave_out_unused_keys()
