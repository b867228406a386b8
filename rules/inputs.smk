"""Functions for rules: input files of jobs, and their part of the configuration, in the order of the rule files."""


def trained(folder):
    """Return the outputs of a rule that trains a model."""
    return {key: f"{folder}/{name}" for key, name in MODEL_FILES.items()}


def model_files(model):
    """Return the files that identify a model: the base, one that a stage trains, or the user's own in its place."""
    prepared = {names.BASE: names.BASE} | ({names.STAGE1: names.OWN_STAGE1} if settings.use.stage1_checkpoint else {})
    prepared |= {name: f"{names.OWN}/{name}" for name in settings.use.models}
    # The weights of a prepared model are symlinks; source.json, which has their digest, stands in for them.
    if model in prepared:
        folder, weights = f"<checkpoints>/{prepared[model]}", "source.json"
    else:
        folder, weights = f"<models>/{model}", MODEL_FILES["weights"]
    return identifying_files(folder, weights)


def identifying_files(folder, weights):
    """Return the files in a model's folder that identify it; ``weights``: the file that stands for them."""
    return [f"{folder}/{name}" for name in (weights, "config.json", "tokenizer.json", "chat_template.jinja")]


#: Why the base model can't be used; an error as soon as jobs start.
MISSING = []


@cache
def base_model_identity():
    """Return the digest of the base model's files, or its hub name. Its path would rerun everything after a move."""
    model = settings.base_model
    if not isinstance(model, str):
        return canonical(model)  # has the digest of the file or package that it is made from
    try:
        if os.path.isdir(model):
            return digest(Path(model), DIGESTS)
        check_name(model)
        if not is_here(model):
            warn(f"base_model: there is no folder {model}, and no such model was downloaded; the run looks for it on the hub")
    except UserError as error:
        warn(str(error))  # a dry run may be on a machine without the model
        MISSING.append(str(error))
    except OSError as error:
        raise WorkflowError(f"base_model: {error.filename}: {error.strerror}")
    return model


@cache
def own_identity(key, folder):
    """Return the digest of the files of the user's own model, which a key names."""
    try:
        return digest(Path(folder), DIGESTS)
    except OSError as error:
        raise WorkflowError(f"{key}: {error.filename}: {error.strerror}")


def problem_files(stage=None):
    """Return ``dataset/split`` -> problem file: those of every dataset, and the user's own; or only those of a stage."""
    files = {
        f"{dataset}/{split}": f"<data>/{dataset}/{split}.parquet"
        for dataset, problems in settings.datasets.items()
        for split in ("train", "test")
        if getattr(problems, split) and stage in (None, problems.stage)
    }
    if f"{names.STAGE1_DATASET}/train" in files:
        files[f"{names.STAGE1_DATASET}/train"] = STAGE1_TRAIN
    return files if stage else files | specs.own_problems(settings)


def descriptions(stage=None):
    """Return dataset -> description, for the datasets of ``problem_files``."""
    datasets = dict.fromkeys(name.partition("/")[0] for name in problem_files(stage))
    return {dataset: f"<data>/{dataset}/dataset.json" for dataset in datasets}


def of_all_seeds(files):
    """Return files of every seed; paths may begin with ``<models>`` and the like. Other wildcards stay."""
    paths = [re.sub(r"^<(\w+)>", lambda match: OF_VARIANT.get(match[1], match[0]), str(path)) for path in files]
    return list(dict.fromkeys(expand(paths, variant=list(VARIANTS), allow_missing=True)))


def of_models(files, models, **wildcards):
    """Return files of models in this order, each for all seeds that it is trained with."""
    return [
        path
        for model in models
        for seed in settings.seeds_of(model)
        for path in expand(files, model=model, transferred=model, variant=names.variant(seed), allow_missing=True, **wildcards)
    ]


def of_points(table):
    """Return an input function: a table at every point of the sweep. It checks that all swept keys change something."""

    def files(wildcards):
        if not SWEEP.points:
            raise WorkflowError("sweep: no key to sweep; name keys and their values, as config/sweep.yaml does")
        paths = [expand(table, swept=folder)[0] for _, folder in SWEEP.points]
        parts = {part for path in map(without_unused_keys, paths) for part in path.split("/")}
        if idle := [key for key in settings.sweep if not any(part.startswith(f"{key}=") for part in parts)]:
            raise WorkflowError(f"sweep: {', '.join(idle)} changes no accuracy; leave it out, or give it other values")
        return paths

    return files


def runs(models):
    """Return the model and the seed of each of these files, for a spec."""
    pairs = [(model, seed) for model in models for seed in settings.seeds_of(model)]
    return {"models": [model for model, _ in pairs], "seeds": [seed for _, seed in pairs]}


def shards(problems, size=settings.rollout_engine.shard_size):
    """Return the shard numbers for a number of problems."""
    return range(math.ceil(problems / size))


def of_shards(files, problems, size=settings.rollout_engine.shard_size):
    """Return a function of the wildcards: files of all shards of ``problems(wildcards)`` problems."""
    return lambda wildcards: expand(files, shard=shards(problems(wildcards), size), allow_missing=True)


def shard(problems, size=settings.rollout_engine.shard_size):
    """Return a function of the wildcards: which of all ``problems(wildcards)`` problems are in the shard."""
    return lambda wildcards: specs.shard(int(wildcards.shard), size, problems(wildcards))


def stage1_problems(wildcards):
    """Return the number of Stage-1 training problems: as configured, or those in the user's own file."""
    return OWN_STAGE1_PROBLEMS or settings_of(wildcards).datasets[names.STAGE1_DATASET].train


def passk_problems(wildcards):
    """Return the number of pass@k problems: as configured, or those in the user's own file."""
    return PASSK_PROBLEMS if OWN_PASSK else settings_of(wildcards).datasets[settings.passk.dataset].test


def tested_problems(wildcards):
    """Return the number of problems of the evaluation, or of one of its further splits."""
    own, held_out = settings_of(wildcards), wildcards.tested == HELD_OUT
    if OWN_EVALUATION and held_out:
        return EVALUATION_PROBLEMS
    return own.datasets[own.evaluation.dataset if held_out else wildcards.tested].test


def decoded(wildcards):
    """Return how the evaluation samples: responses as configured, or one greedy response per problem."""
    rollouts = settings_of(wildcards).evaluation.rollouts
    return specs.greedy(rollouts) if wildcards.decoding == "greedy" else rollouts


def stage1_template(wildcards):
    """Return the wording of Stage-1 training prompts; None keeps that of the sampled ones."""
    own = settings_of(wildcards)
    return None if own.stage1.rft.keep_definitions else own.problems.template


def curriculum_sources(wildcards):
    """Return name in the curriculum's mixtures -> file: a dataset's training problems, or the user's own."""
    sources = specs.curriculum_sources(settings_of(wildcards), wildcards.curriculum)
    return {name: path or f"<data>/{name}/train.parquet" for name, path in sources.items()}


def of_known_models(files):
    """Return an input function for ``files`` of Countdown's models, which it checks."""

    def checked(wildcards):
        try:
            preflight.check_countdown(settings, packages=THIS_PYTHON)
        except UserError as error:
            raise WorkflowError(str(error))
        return files

    return checked


def by(wildcard, table):
    """Return a function of the wildcards: the entry of a table, which may be a function of them, that one of them names."""

    def entry(wildcards):
        entries = table(wildcards) if callable(table) else table
        return entries[getattr(wildcards, wildcard)]

    return entry


def model_before(wildcards):
    """Return the model that an iteration rolls out and fine-tunes: the previous iteration's, or Stage 1's."""
    iteration = int(wildcards.iteration)
    return model_files(names.rft_model(iteration - 1) if iteration else names.STAGE1)


#: Further label of pages and figures in Snakemake's report: their point of a sweep.
POINT_LABEL = {"point": SWEPT} if SWEPT else {}


def page(name, category, title, caption=None):
    """Return a table or text as a page (HTML), which is part of Snakemake's report."""
    text = f"{CAPTIONS}/{caption or name}.rst"
    return report(f"<results>/{name}.html", caption=text, category=category, labels={"figure": title} | POINT_LABEL)


def figure(name, category, title):
    """Return the files of a figure, one per format; the first is part of Snakemake's report."""
    files = [f"<results>/figures/{name}.{extension}" for extension in settings.figures.formats]
    shown = report(files[0], caption=f"{CAPTIONS}/{name}.rst", category=category, labels={"figure": title} | POINT_LABEL)
    return [shown, *files[1:]]
