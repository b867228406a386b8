"""The model that everything starts from."""


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
        spec=base_model_spec,
        model=untracked(settings.base_model),
        folder=output_folder,
    shell:
        'python "$SCRIPTS"/prepare_base_model.py --spec {params.spec:q} --model {params.model:q}'
        " --output {params.folder:q} 2>&1 | tee {log:q}"


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
        spec=fixed(stages.build_tiny_base(settings)),
        folder=output_folder,
        save_every=untracked(settings.training.pretraining_save_every),
    shell:
        'python "$SCRIPTS"/build_tiny_base.py --spec {params.spec:q} --output {params.folder:q}'
        " --workers {threads} --save-every {params.save_every} 2>&1 | tee {log:q}"
