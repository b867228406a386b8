"""Supervised fine-tuning."""


rule train_sft:
    """Fine-tune the model that made the rollouts on what was selected from them."""
    input:
        train=training_examples("train"),
        test=training_examples("test"),
        model=tuned_files,
    output:
        weights=run_path("checkpoints/string-task/{tuned}/model.safetensors"),
        config=run_path("checkpoints/string-task/{tuned}/config.json"),
        generation_config=run_path("checkpoints/string-task/{tuned}/generation_config.json"),
        tokenizer=run_path("checkpoints/string-task/{tuned}/tokenizer.json"),
        tokenizer_config=run_path("checkpoints/string-task/{tuned}/tokenizer_config.json"),
        chat_template=run_path("checkpoints/string-task/{tuned}/chat_template.jinja"),
        metrics=run_path("checkpoints/string-task/{tuned}/metrics.jsonl"),
    log:
        run_path("logs/train_sft/{tuned}.log"),
    benchmark:
        run_path("benchmarks/results/train_sft/{tuned}.tsv")
    priority: 20
    conda:
        sft_environment
    threads: sft_threads
    resources:
        **NODES,
        gpu=settings.training.workers(),
        mem_mb=memory("train_sft"),
        runtime=minutes("train_sft"),
    params:
        spec=tuning_spec,
        allow_empty=allow_empty,
        model=model_input_folder,
        folder=output_folder,
        state=run_path("checkpoints/string-task/.resume/{tuned}"),
        work=sft_work,
    shell:
        'python "$SCRIPTS"/train_sft.py --spec {params.spec:q} --model {params.model:q} --train {input.train:q} --test {input.test:q}'
        " --output {params.folder:q} --state {params.state:q} {params.work} {params.allow_empty} --threads {threads} 2>&1 | tee {log:q}"


rule plot_training:
    """Figure: loss and learning rate of Stage 1 by step."""
    input:
        metrics=run_path("checkpoints/string-task/stage1-rft/metrics.jsonl"),
    output:
        report(
            figure("stage1_training")[0],
            caption=f"{CAPTIONS}/training.rst",
            category="Stage 1",
            labels={"figure": "Training"},
        ),
        figure("stage1_training")[1:],
    log:
        run_path("logs/plot_training.log"),
    benchmark:
        run_path("benchmarks/results/plot_training.tsv")
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
