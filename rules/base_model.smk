"""Base model: models from elsewhere, prepared for the stages that read them, and the files of a model."""

#: The model that all trained ones start from; a name on the hub is not looked up for this.
START = Path(settings.use.stage1_checkpoint or settings.base_source())
#: Files that training writes into a model's folder. The index stands for all shards: it has their digest.
MODEL_FILES = {
    "weights": INDEX if START.is_dir() and in_shards(START) else WHOLE,
    "config": "config.json",
    "generation_config": "generation_config.json",
    "tokenizer": "tokenizer.json",
    "tokenizer_config": "tokenizer_config.json",
    "chat_template": "chat_template.jinja",
    "metrics": "metrics.jsonl",
}
#: Those of a base model that was converted.
CONVERTED_FILES = {key: name for key, name in MODEL_FILES.items() if key != "metrics"} | {"weights": WHOLE}
#: Those of a prepared model, whose weights are links.
PREPARED_FILES = {key: name for key, name in CONVERTED_FILES.items() if key != "weights"} | {"source": "source.json"}


if not isinstance(settings.base_model, str):

    rule convert_gguf:
        """Convert the base model's GGUF file, which a package may carry, into a folder in Hugging Face format."""
        input:
            [] if settings.base_model.package else ancient(settings.base_model.gguf),
        output:
            **{key: f"<checkpoints>/{names.CONVERTED}/{name}" for key, name in CONVERTED_FILES.items()},
        log:
            "<logs>/convert_gguf.log",
        benchmark:
            "<benchmarks>/results/convert_gguf.tsv"
        localrule: True  # nodes of a cluster may have no network
        conda:
            ENVIRONMENT
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            spec=tracked(settings.base_model),
            folder=subpath(output[0], parent=True),
        shell:
            "run_logged {log:q} convert_gguf --spec {params.spec:q} --output {params.folder:q}"


rule prepare_base_model:
    """Prepare the base model for all stages; its weights are linked, not copied."""
    input:
        [] if isinstance(settings.base_model, str) else rules.convert_gguf.output,
    output:
        **{key: f"<checkpoints>/{names.BASE}/{name}" for key, name in PREPARED_FILES.items()},
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
        spec=tracked(model=lambda wildcards: base_model_identity(), plain_prompt=settings.plain_prompt, code=3),
        folder=subpath(output[0], parent=True),
        model=flags(model=settings.base_source()),
    shell:
        "run_logged {log:q} prepare_model --spec {params.spec:q} --output {params.folder:q} {params.model}"


if settings.use.stage1_checkpoint:

    use rule prepare_base_model as prepare_stage1_checkpoint with:
        """Prepare the user's own Stage-1 model as the base model is prepared."""
        input:
            [],
        output:
            **{key: f"<checkpoints>/{names.OWN_STAGE1}/{name}" for key, name in PREPARED_FILES.items()},
        log:
            "<logs>/prepare_stage1_checkpoint.log",
        benchmark:
            "<benchmarks>/results/prepare_stage1_checkpoint.tsv"
        params:
            spec=tracked(
                model=lambda wildcards: own_identity("use.stage1_checkpoint", settings.use.stage1_checkpoint),
                plain_prompt=settings.plain_prompt,
                code=1,
            ),
            model=flags(model=settings.use.stage1_checkpoint),


if settings.use.models:

    use rule prepare_base_model as prepare_own_model with:
        """Prepare a model of the user's own, to be evaluated beside the others."""
        input:
            [],
        output:
            **{key: f"<checkpoints>/{names.OWN}/{{own}}/{name}" for key, name in PREPARED_FILES.items()},
        log:
            "<logs>/prepare_own_model/{own}.log",
        benchmark:
            "<benchmarks>/results/prepare_own_model/{own}.tsv"
        params:
            spec=tracked(
                model=lambda wildcards: own_identity(f"use.models.{wildcards.own}", settings.use.models[wildcards.own]),
                plain_prompt=settings.plain_prompt,
            ),
            model=lambda wildcards, output: flags(model=settings.use.models[wildcards.own])(wildcards, output),


rule build_tiny_base:
    """Pre-train the embedded base model from scratch."""
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
