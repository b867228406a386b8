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
        for dataset, settings_of in settings.datasets.items()
        for split in ("train", "test")
        if getattr(settings_of, split) and stage in (None, settings_of.stage)
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
        for path in expand(files, model=model, transferred=model, variant=names.variant(seed), **wildcards)
    ]


def runs(models):
    """Return the model and the seed of each of these files, for a spec."""
    pairs = [(model, seed) for model in models for seed in settings.seeds_of(model)]
    return {"models": [model for model, _ in pairs], "seeds": [seed for _, seed in pairs]}


def shards(problems, size=settings.rollout_engine.shard_size):
    """Return the shard numbers for a number of problems."""
    return range(math.ceil(problems / size))


def shard(problems, size=settings.rollout_engine.shard_size):
    """Return a function of the wildcards: which of all problems are in the shard."""
    return lambda wildcards: specs.shard(int(wildcards.shard), size, problems)


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
    """Return a function of the wildcards: the entry of a table that one of them names."""
    return lambda wildcards: table[getattr(wildcards, wildcard)]


def model_before(wildcards):
    """Return the model that an iteration rolls out and fine-tunes: the previous iteration's, or Stage 1's."""
    iteration = int(wildcards.iteration)
    return model_files(names.rft_model(iteration - 1) if iteration else names.STAGE1)


def page(name, category, title, caption=None):
    """Return a table or text as a page (HTML), which is part of Snakemake's report."""
    text = f"{CAPTIONS}/{caption or name}.rst"
    return report(f"<results>/{name}.html", caption=text, category=category, labels={"figure": title})


def figure(name, category, title):
    """Return the files of a figure, one per format; the first is part of Snakemake's report."""
    files = [f"<results>/figures/{name}.{extension}" for extension in settings.figures.formats]
    shown = report(files[0], caption=f"{CAPTIONS}/{name}.rst", category=category, labels={"figure": title})
    return [shown, *files[1:]]
