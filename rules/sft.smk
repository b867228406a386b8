"""Supervised fine-tuning."""


rule train_sft:
    """Fine-tune the model that made the rollouts on what was selected from them."""
    input:
        train=training_examples("train"),
        test=training_examples("test"),
        model=tuned_files,
    output:
        weights="<models>/{tuned}/model.safetensors",
        config="<models>/{tuned}/config.json",
        generation_config="<models>/{tuned}/generation_config.json",
        tokenizer="<models>/{tuned}/tokenizer.json",
        tokenizer_config="<models>/{tuned}/tokenizer_config.json",
        chat_template="<models>/{tuned}/chat_template.jinja",
        metrics="<models>/{tuned}/metrics.jsonl",
    log:
        "<logs>/train_sft/{tuned}.log",
    benchmark:
        "<benchmarks>/results/train_sft/{tuned}.tsv"
    priority: 20
    conda:
        sft_environment
    threads: sft_threads
    resources:
        **training_job("train_sft", estimate_tuning),
    params:
        spec=tuning_spec,
        allow_empty=allow_empty,
        model=model_input_folder,
        folder=output_folder,
        work=sft_work,
    shell:
        'python "$SCRIPTS"/train_sft.py --spec {params.spec:q} --model {params.model:q} --train {input.train:q} --test {input.test:q}'
        " --output {params.folder:q} {params.work} {params.allow_empty} --threads {threads} 2>&1 | tee {log:q}"


rule plot_training:
    """Figure: loss and learning rate of Stage 1 by step."""
    input:
        metrics="<models>/stage1-rft/metrics.jsonl",
    output:
        report(
            figure("stage1_training")[0],
            caption=f"{CAPTIONS}/training.rst",
            category="Stage 1",
            labels={"figure": "Training"},
        ),
        figure("stage1_training")[1:],
    log:
        "<logs>/plot_training.log",
    benchmark:
        "<benchmarks>/results/plot_training.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.plot_figures(settings)),
        stem=output_stem,
    shell:
        'python "$SCRIPTS"/plot_training.py --spec {params.spec:q} '
        "--metrics {input.metrics:q} "
        "--stem {params.stem:q} 2>&1 | tee {log:q}"
