"""Supervised fine-tuning."""


rule train_sft:
    """Fine-tune the base model on the Stage-1 examples."""
    input:
        train=stage1_rft_data("train"),
        test=stage1_rft_data("test"),
        model=model_files("base"),
    output:
        weights=run_path("checkpoints/string-task/stage1-rft/model.safetensors"),
        config=run_path("checkpoints/string-task/stage1-rft/config.json"),
        tokenizer=run_path("checkpoints/string-task/stage1-rft/tokenizer.json"),
        tokenizer_config=run_path("checkpoints/string-task/stage1-rft/tokenizer_config.json"),
        chat_template=run_path("checkpoints/string-task/stage1-rft/chat_template.jinja"),
        metrics=run_path("checkpoints/string-task/stage1-rft/metrics.jsonl"),
    log:
        run_path("logs/train_sft.log"),
    benchmark:
        run_path("benchmarks/results/train_sft.tsv")
    conda:
        ENVIRONMENT
    threads: settings.training.threads
    resources:
        mem_mb=4000,
        runtime=480,
    params:
        spec=fixed(stages.train_sft(settings)),
        model=model_input_folder,
        folder=output_folder,
        state=run_path("checkpoints/string-task/.resume/stage1-rft"),
        micro_batch_size=speed_only(settings.training.micro_batch_size),
        save_every=speed_only(settings.training.save_every),
        log_every=speed_only(settings.training.log_every),
    shell:
        'python "$SCRIPTS"/train_sft.py --spec {params.spec:q} --model {params.model:q} --train {input.train:q} --test {input.test:q}'
        " --output {params.folder:q} --state {params.state:q} --micro-batch-size {params.micro_batch_size}"
        " --save-every {params.save_every} --log-every {params.log_every} --threads {threads} 2>&1 | tee {log:q}"


rule plot_training:
    """Figure: loss and learning rate by step."""
    input:
        metrics=rules.train_sft.output.metrics,
    output:
        report(
            figure("stage1_training"),
            caption=f"{CAPTIONS}/training.rst",
            category="Stage 1",
            labels={"figure": "Training"},
        ),
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
        'python "$SCRIPTS"/plot_training.py --spec {params.spec:q} --metrics {input.metrics:q} --stem {params.stem:q} 2>&1 | tee {log:q}'
