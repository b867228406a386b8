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


include: "rules/inputs.smk"
include: "rules/specs.smk"
include: "rules/work.smk"
include: "rules/cluster.smk"
include: "rules/base_model.smk"
include: "rules/problems.smk"
include: "rules/rollouts.smk"
include: "rules/rft.smk"
include: "rules/sft.smk"
include: "rules/rl.smk"
include: "rules/evaluation.smk"
include: "rules/report.smk"
include: "rules/records.smk"


# Targets, and work of seconds: on a cluster the main process does it itself. A module's rules have
# other names.
if workflow.modifier.is_main_snakefile():

    localrules:
        all,
        analyze_failures,
        classify_failures,
        create_chunk,
        evaluate,
        figures,
        link_iteration_data,
        link_iteration_model,
        passk,
        plot_accuracy,
        plot_exposure,
        plot_failures,
        plot_learning_curves,
        plot_main_comparison,
        plot_passk,
        plot_selection,
        plot_training,
        record_versions,
        score_held_out,
        score_rollouts,
        stage1_create_problems,
        stage1_create_train_data,
        stage1_rft,
        stage2_create_problems,
        stage2_rft_create_problems,
        stage2_rft_create_train_data,
        stage2_rft_train,
        summarize_accuracy,
        summarize_evaluation,
        summarize_failures,
        summarize_passk,
        tiny_base,
        write_summary,


rule stage1_create_problems:
    """Stage 1: Level-1 problems, train and test."""
    input:
        stage1_problems("train"),
        stage1_problems("test"),


rule stage1_create_train_data:
    """Stage 1: rollouts of the base model and the RFT data selected from them."""
    input:
        stage1_rft_data("train"),
        stage1_rft_data("test"),
        stage1_problems("train"),
        stage1_selection_results(),


rule stage1_rft:
    """Stage 1: the fine-tuned model, its loss curve, and its accuracy before and after."""
    input:
        stage1_problems("train"),
        model_files("stage1-rft"),
        stage1_selection_results(),
        stage1_training_results(),
        rules.summarize_accuracy.output,
        rules.plot_accuracy.output,


rule stage2_create_problems:
    """Stage 2: problems to train on and to evaluate with, and what is in them."""
    input:
        list(problem_files(stage=2).values()),
        list(descriptions(stage=2).values()),
        rules.plot_exposure.output,


rule stage2_rft_create_problems:
    """Stage 2, RFT: the problems of each iteration."""
    input:
        [chunk(iteration) for iteration in range(settings.stage2.rft.num_iterations)],


rule stage2_rft_create_train_data:
    """Stage 2, RFT: rollouts of the last iteration and what is selected from them; needs the iterations before."""
    input:
        rules.link_iteration_data.output,


rule stage2_rft_train:
    """Stage 2, RFT: the model of every iteration, its accuracy, and the last one's under its final name."""
    input:
        rules.link_iteration_data.output,
        rules.link_iteration_model.output,
        verdict_files(RFT_MODELS),


for curriculum in CURRICULA:

    rule:
        """Stage 2, RL: the model of a curriculum, and its metrics by step."""
        name:
            f"stage2_rl_{curriculum}"
        input:
            model_files(f"stage2-rl-{curriculum}"),
        localrule: True


rule evaluate:
    """Accuracy by level of every model: base, Stage 1, RFT iterations, reinforcement learning."""
    input:
        rules.summarize_evaluation.output,
        rules.plot_main_comparison.output,


rule passk:
    """pass@k by level."""
    input:
        rules.summarize_passk.output,
        rules.plot_passk.output,


rule analyze_failures:
    """Why responses are wrong, by model and level."""
    input:
        rules.summarize_failures.output,
        rules.plot_failures.output,


rule figures:
    """All figures."""
    input:
        rules.plot_exposure.output,
        rules.plot_main_comparison.output,
        rules.plot_learning_curves.output,
        rules.plot_passk.output,
        rules.plot_failures.output,
        stage1_selection_results(),
        stage1_training_results(),
        rules.plot_accuracy.output,


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
        rules.record_versions.output,
