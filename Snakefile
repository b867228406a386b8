from snakemake.utils import min_version

min_version("9.10")


configfile: "config/default.yaml"


include: "rules/common.smk"
include: "rules/base_model.smk"
include: "rules/problems.smk"
include: "rules/rollouts.smk"
include: "rules/rft.smk"
include: "rules/sft.smk"
include: "rules/evaluation.smk"


localrules:
    all,
    stage1_create_problems,
    stage1_create_train_data,
    stage1_rft,
    tiny_base,


rule stage1_create_problems:
    """Stage 1: Level-1 problems, train and test."""
    input:
        stage1_problems("train"),
        stage1_problems("test"),


rule stage1_create_train_data:
    """Stage 1: roll-outs of the base model and the RFT data selected from them."""
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


rule tiny_base:
    """The embedded base model, pre-trained anew (minutes on a GPU, a day or two on a CPU)."""
    input:
        rules.build_tiny_base.output,


rule all:
    """Everything: all data, models, evaluations and figures."""
    default_target: True
    input:
        rules.stage1_rft.input,
