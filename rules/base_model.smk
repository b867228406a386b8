"""The model that everything starts from, and which files are a model."""

#: Files that training writes into a model's folder.
MODEL_FILES = {
    "weights": "model.safetensors",
    "config": "config.json",
    "generation_config": "generation_config.json",
    "tokenizer": "tokenizer.json",
    "tokenizer_config": "tokenizer_config.json",
    "chat_template": "chat_template.jinja",
    "metrics": "metrics.jsonl",
}


def trained(folder):
    """Outputs of a rule that trains a model."""
    return {key: f"{folder}/{name}" for key, name in MODEL_FILES.items()}


def model_files(model):
    """Files whose change means another model: the base, one that a stage trains, or the user's own in its place."""
    own = settings.use.stage1_checkpoint
    if model == names.STAGE1 and own:
        files = [str(path) for path in (*settings_files(Path(own)), *weight_files(Path(own)))]
        return files or [f"{own}/config.json"]
    # The base model's weights are links; its source.json, which has their digest, stands in for them.
    folder, weights = ("<checkpoints>/base", "source.json") if model == names.BASE else (f"<models>/{model}", "model.safetensors")
    return [f"{folder}/{name}" for name in (weights, "config.json", "tokenizer.json", "chat_template.jinja")]


@cache
def base_model_identity():
    """The digest of a folder's files, else the hub name. Not the path: moved, a model would rerun everything."""
    model = settings.base_model
    try:
        if os.path.isdir(model):
            return digest(Path(model), DIGESTS)
        check_name(model)
    except UserError as error:
        if workflow.executor_plugin is not None and not workflow.dryrun:
            raise WorkflowError(str(error))
        logger.warning(error)  # one may look at a plan on another machine
    except OSError as error:
        raise WorkflowError(f"base_model: {error.filename}: {error.strerror}")
    return model


rule prepare_base_model:
    """The base model's plain-prompt variant; the weights are linked, not copied."""
    output:
        config="<checkpoints>/base/config.json",
        tokenizer="<checkpoints>/base/tokenizer.json",
        tokenizer_config="<checkpoints>/base/tokenizer_config.json",
        chat_template="<checkpoints>/base/chat_template.jinja",
        source="<checkpoints>/base/source.json",
    log:
        "<logs>/prepare_base_model.log",
    benchmark:
        "<benchmarks>/results/prepare_base_model.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(2000),
        runtime=growing(60, "minutes"),
    params:
        spec=tracked(base_model=lambda wildcards: base_model_identity(), plain_prompt=settings.plain_prompt),
        folder=subpath(output[0], parent=True),
        model=flags(model=settings.base_model),
    shell:
        "run_logged {log:q} prepare_base_model --spec {params.spec:q} --output {params.folder:q} {params.model}"


rule build_tiny_base:
    """Pre-train the embedded base model; its weights are kept under resources/tiny-base."""
    output:
        weights="<checkpoints>/tiny-base/model.safetensors",
        config="<checkpoints>/tiny-base/config.json",
        tokenizer="<checkpoints>/tiny-base/tokenizer.json",
        metrics="<checkpoints>/tiny-base/metrics.jsonl",
    log:
        "<logs>/build_tiny_base.log",
    benchmark:
        "<benchmarks>/results/build_tiny_base.tsv"
    conda:
        ENVIRONMENT
    threads: 16
    resources:
        mem_mb=16000,
        runtime=1440,
    params:
        spec=tracked(tiny_base=settings.tiny_base, template=settings.problems.template),
        folder=subpath(output[0], parent=True),
        speed=flags(save_every=settings.training.pretraining_save_every),
    shell:
        "run_logged {log:q} build_tiny_base --spec {params.spec:q} --output {params.folder:q} {params.speed} --workers {threads}"
