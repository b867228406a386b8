"""Cards of models and datasets, with the hub's metadata (target publish). Nothing leaves this machine: that is `fofg push`.

Points of a sweep have none: the cards are those of the run itself, and no path here has a point.
"""

#: Trained model -> the one that it starts from, and what it is trained on.
LINEAGE = {names.STAGE0: {"start": names.BASE, "data": ["stage0_warmup"]}} if settings.stage0.examples else {}
if not settings.use.stage1_checkpoint:
    LINEAGE[names.STAGE1] = {
        "start": settings.start_model(),
        "data": [settings.use.stage1_rft_data or "stage1_level1/rft_data"],
    }
for number, model in enumerate(RFT_MODELS):
    LINEAGE[model] = {
        "start": RFT_MODELS[number - 1] if number else names.STAGE1,
        "data": [f"stage2_rft_level2/iter{number}/rft_data"],
    }
LINEAGE["stage2-rft"] = LINEAGE[RFT_MODELS[-1]]
LINEAGE |= {
    names.rl_model(name): {"start": names.STAGE1, "data": list(specs.curriculum_sources(settings, name))} for name in CURRICULA
}
#: Model -> its name in tables, where that is another: the last iteration's.
EVALUATED_AS = {"stage2-rft": RFT_MODELS[-1]}
#: Each trained model with each of its seeds.
CARDS = [(model, seed) for model in LINEAGE for seed in settings.seeds_of(model)]
#: Dataset of problems that the run samples -> its folder.
PROBLEM_FOLDERS = {
    name: in_run(f"{names.DATA}/{name}")
    for name in dict.fromkeys(key.partition("/")[0] for key in problem_files())
    if name in settings.datasets
}
#: Folders of training examples that the run selects, of all seeds.
EXAMPLE_FOLDERS = [
    in_run(f"{variant}{names.DATA}/{dataset}/rft_data")
    for dataset in ([] if settings.use.stage1_rft_data else [names.STAGE1_DATASET]) + ["stage2_rft_level2"]
    for variant in VARIANTS
]


rule write_model_cards:
    """Write the card of every trained model: lineage, data, settings, accuracy with intervals, license of the base."""
    input:
        accuracy=in_run("results/accuracy.parquet"),
        metrics=[in_run(f"{names.variant(seed)}{names.MODELS}/{model}/metrics.jsonl") for model, seed in CARDS],
    output:
        cards=[in_run(f"{names.variant(seed)}{names.MODELS}/{model}/README.md") for model, seed in CARDS],
    log:
        "<all_logs>/write_model_cards.log",
    benchmark:
        "<all_benchmarks>/results/write_model_cards.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(
            code=2,
            base_model=settings.base_name(),
            seeds=settings.seeds,
            dataset="your own problems" if OWN_EVALUATION else settings.evaluation.dataset,
            tests=specs.split_names(settings, bool(OWN_EVALUATION))[0],
            models=[
                {"name": model, "evaluated": EVALUATED_AS.get(model, model), "seed": seed, **LINEAGE[model]}
                for model, seed in CARDS
            ],
        ),
        base=flags(base=str(START)),
        folders=lambda wildcards, output: [os.path.dirname(card) for card in output.cards],
    shell:
        "run_logged {log:q} write_model_cards --spec {params.spec:q} --accuracy {input.accuracy:q} {params.base}"
        " --folders {params.folders:q}"


rule write_dataset_cards:
    """Write the card of every dataset of problems, and of the training examples that are selected from responses."""
    input:
        problems=expand(list(problem_files().values()), swept="", allow_missing=True),
        descriptions=[f"{folder}/dataset.json" for folder in PROBLEM_FOLDERS.values()],
        selections=[f"{folder}/selection.json" for folder in EXAMPLE_FOLDERS],
    output:
        problems=[f"{folder}/README.md" for folder in PROBLEM_FOLDERS.values()],
        examples=[f"{folder}/README.md" for folder in EXAMPLE_FOLDERS],
    log:
        "<all_logs>/write_dataset_cards.log",
    benchmark:
        "<all_benchmarks>/results/write_dataset_cards.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=tracked(
            base_model=settings.base_name(),
            task=settings.problems.task,
            datasets={name: settings.datasets[name] for name in PROBLEM_FOLDERS},
        ),
        base=flags(base=str(START)),
        problems=lambda wildcards, output: [os.path.dirname(card) for card in output.problems],
        examples=lambda wildcards, output: [os.path.dirname(card) for card in output.examples],
    shell:
        "run_logged {log:q} write_dataset_cards --spec {params.spec:q} --problems {params.problems:q}"
        " --examples {params.examples:q} {params.base}"
