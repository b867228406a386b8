"""Which files a job reads and makes: functions of wildcards and of the configuration."""

# --- models ---------------------------------------------------------------------------------------------------------


def model_folder(model):
    """Folder of a model: the base, one that a stage trains, or the user's own in its place."""
    if model == "base":
        return "<checkpoints>/base"
    if model == "stage1-rft" and settings.use.stage1_checkpoint:
        return settings.use.stage1_checkpoint
    return f"<models>/{model}"


def local_model_files(folder):
    """Files of a model folder as they lie; none for a model of the hub."""
    patterns = ("*.json", "*.jinja", "*.safetensors", "*.model")
    return sorted(path for pattern in patterns for path in glob.glob(os.path.join(glob.escape(folder), pattern)))


def model_files(model):
    """Files whose change means another model. The base model's weights are links: its source file speaks for them."""
    folder = model_folder(model)
    if model == "stage1-rft" and settings.use.stage1_checkpoint:
        return local_model_files(folder) or [f"{folder}/config.json"]
    weights = "source.json" if model == "base" else "model.safetensors"
    return [f"{folder}/{name}" for name in (weights, "config.json", "tokenizer.json", "chat_template.jinja")]


def evaluated_files(wildcards):
    return model_files(wildcards.model)


def model_before(name):
    """The model that a round rolls out and fine-tunes: the base in Stage 1, then that of the iteration before."""
    iteration = iteration_of(name)
    if iteration is None:
        return "base"
    return f"stage2-rft-iter{iteration - 1}" if iteration else "stage1-rft"


def rolled_out_files(wildcards):
    return model_files(model_before(wildcards.round))


def tuned_files(wildcards):
    return model_files(model_before(wildcards.tuned))


# --- problems and rollouts -----------------------------------------------------------------------------------------


def problems_file(dataset, split):
    return f"<data>/{dataset}/{split}.parquet"


def stage1_problems(split):
    """Stage-1 problems: made, or the user's own."""
    if split == "train" and settings.use.stage1_problems:
        return settings.use.stage1_problems
    return problems_file("stage1_level1", split)


def own_problems():
    """``dataset/split`` -> file, of the user's own training problems: mixed into curricula, or cut into chunks."""
    phases = [phase for name in CURRICULA for phase in settings.stage2.rl.curricula[name]]
    paths = [name for phase in phases for name in phase.mixture if name.endswith(".parquet")]
    if settings.use.stage2_rft_problems:
        paths.append(settings.use.stage2_rft_problems)
    stems = [os.path.splitext(os.path.basename(path))[0] for path in dict.fromkeys(paths)]
    return {f"own{number}_{stem}/train": path for number, (stem, path) in enumerate(zip(stems, dict.fromkeys(paths)))}


# A damaged file of these is no file to remove and make again.
OWN_FILES = [settings.base_model, *settings.use.model_dump().values(), *own_problems().values()]
PREFIX += f"export FOFG_OWN_FILES={shlex.quote(os.pathsep.join(os.path.abspath(path) for path in OWN_FILES if path))}; "
shell.prefix(PREFIX.replace("{", "{{").replace("}", "}}"))


def problem_files(stage=None):
    """``dataset/split`` -> file, of every dataset that is made (of a stage), and the user's own."""
    made = {
        f"{dataset}/{split}": stage1_problems(split) if dataset == "stage1_level1" else problems_file(dataset, split)
        for dataset, described in settings.datasets.items()
        for split in ("train", "test")
        if getattr(described, split) and stage in (None, described.stage)
    }
    return made if stage else made | own_problems()


def descriptions(stage=None):
    """Dataset -> its description, of every dataset that is made (of a stage), and the user's own."""
    datasets = dict.fromkeys(name.partition("/")[0] for name in problem_files(stage))
    return {dataset: f"<data>/{dataset}/dataset.json" for dataset in datasets}


def named(key, names):
    """Arguments NAME=FILE of a job's input or output files of that key. ``names`` may be a function of the wildcards."""

    def arguments(wildcards, input, output):
        each = names(wildcards) if callable(names) else names
        return [f"{name}={path}" for name, path in zip(each, input.get(key) or output.get(key), strict=True)]

    return arguments


def round_shards(round):
    """Number of shards of a round's rollouts."""
    problems = STAGE1_PROBLEMS if iteration_of(round) is None else settings.stage2.rft.examples_per_iteration
    return range(stages.shard_count(settings, problems))


def chunk_source():
    """The problems that are cut into chunks: made, or the user's own."""
    return settings.use.stage2_rft_problems or problems_file(settings.stage2.rft.dataset, "train")


def chunk(iteration):
    return f"<data>/stage2_level2_rft/{iteration}.parquet"


def rollout_problems(wildcards):
    """A chunk or, in Stage 1, the user's own problems.

    Stage-1 jobs sample the rows of train.parquet that they need, as their spec says, instead of reading that file: it is replaced
    when there are more problems, or when it was deleted, and Snakemake would rerun every shard (``ancient`` only prevents that
    while the file exists).
    """
    iteration = iteration_of(wildcards.round)
    path = settings.use.stage1_problems if iteration is None else chunk(iteration)
    return [path] if path else []


def problems_argument(wildcards, input):
    return f"--problems {shlex.quote(input.problems[0])}" if input.problems else ""


def rollout_shards(wildcards):
    """Files of all shards of a round's rollouts."""
    pattern = "<data>/{round}/rollouts/{shard}.parquet"
    return expand(pattern, round=wildcards.round, shard=round_shards(wildcards.round))


# --- rejection fine-tuning ------------------------------------------------------------------------------------------


def round_folder(round):
    return f"<data>/{round}"


def stage1_rft_data(split):
    """Stage-1 training examples: selected, or the user's own."""
    folder = settings.use.stage1_rft_data or f"{round_folder('stage1_level1')}/rft_data"
    return f"{folder}/{split}.parquet"


def iteration_round(iteration):
    return f"stage2_rft_level2/iter{iteration}"


def sft_threads(wildcards):
    """Stage 1 has the machine to itself; Stage 2's runs stand side by side."""
    training = settings.training
    return training.threads if iteration_of(wildcards.tuned) is None else training.stage2_threads


def training_examples(split):
    """Examples that a model is fine-tuned on."""

    def examples(wildcards):
        iteration = iteration_of(wildcards.tuned)
        if iteration is None:
            return stage1_rft_data(split)
        return f"{round_folder(iteration_round(iteration))}/rft_data/{split}.parquet"

    return examples


def stage1_selection_results():
    """What selection reports; nothing when the examples are the user's own."""
    if settings.use.stage1_rft_data:
        return []
    return [
        "<data>/stage1_level1/rft_data/selection.json",
        *figure("stage1_selection"),
    ]


def stage1_training_results():
    """What training reports; nothing when the model is the user's own."""
    return [] if settings.use.stage1_checkpoint else figure("stage1_training")


ITERATION_FILES = {
    "data": ("rollout.parquet", "rft_data/train.parquet", "rft_data/test.parquet", "rft_data/selection.json"),
    "model": (
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "metrics.jsonl",
    ),
}


def last_iteration(kind):
    """Files of the last iteration: its ``data``, or its ``model``."""
    if kind == "data":
        folder = round_folder(iteration_round(LAST_ITERATION))
    else:
        folder = model_folder(f"stage2-rft-iter{LAST_ITERATION}")
    return [f"{folder}/{name}" for name in ITERATION_FILES[kind]]


def final_rft(kind):
    """The names under which the last iteration's files are found, whatever its number."""
    folder = round_folder("stage2_rft_level2") if kind == "data" else model_folder("stage2-rft")
    return [f"{folder}/{name}" for name in ITERATION_FILES[kind]]


def allow_empty(wildcards, output):
    """Whether an iteration with nothing to train on passes its model on. Not tracked: see ``untracked``."""
    name = wildcards.get("round") or wildcards.tuned
    passes = settings.stage2.rft.on_empty_selection == "keep_model" and iteration_of(name) is not None
    return "--allow-empty" if passes else ""


def link_arguments(wildcards, input, output):
    """``target=link`` for each file."""
    return [f"{target}={link}" for target, link in zip(input, output)]


# --- reinforcement learning -----------------------------------------------------------------------------------------


def curriculum_sources(curriculum):
    """Name in the mixtures -> file, in a fixed order."""
    names = {name for phase in settings.stage2.rl.curricula[curriculum] for name in phase.mixture}
    return {name: name if name.endswith(".parquet") else problems_file(name, "train") for name in sorted(names)}


def curriculum_files(wildcards):
    return list(curriculum_sources(wildcards.curriculum).values())


def curriculum_names(wildcards):
    return curriculum_sources(wildcards.curriculum)


def rl_metrics():
    """Model -> metrics of every reinforcement learning run."""
    return {f"stage2-rl-{name}": f"{model_folder(f'stage2-rl-{name}')}/metrics.jsonl" for name in CURRICULA}


# --- evaluation -----------------------------------------------------------------------------------------------------


def of_models(pattern, models):
    """Model -> file."""
    return {model: pattern.format(model=model) for model in models}


def verdict_files(models):
    return list(of_models("<results>/evaluation/{model}/verdicts.parquet", models).values())


def held_out_rollouts(wildcards):
    return [f"<results>/evaluation/{wildcards.model}/held-out/{decoding}/rollouts.parquet" for decoding in DECODINGS]


def passk_shards(wildcards):
    problems = settings.datasets[settings.passk.dataset].test
    shards = range(-(-problems // settings.passk.shard_size))
    return [f"<results>/passk/{wildcards.model}/rollouts/{shard}.parquet" for shard in shards]
