"""Reinforcement learning."""


rule select_validation_problems:
    """The held-out problems that reinforcement learning is measured on."""
    input:
        problems=validation_source(),
    output:
        # Kept until its successor is whole: if it were missing, models would be trained again for it.
        problems=update(run_path("data/string_task/stage2_rl_validation.parquet")),
    log:
        run_path("logs/select_validation_problems.log"),
    benchmark:
        run_path("benchmarks/results/select_validation_problems.tsv")
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.select_validation(settings)),
        problems=validation_source_argument,
    shell:
        'python "$SCRIPTS"/select_validation_problems.py --spec {params.spec:q} {params.problems}'
        " --output {output.problems:q} 2>&1 | tee {log:q}"


rule train_rl:
    """GRPO from the Stage-1 model on the problems of a curriculum."""
    input:
        data=curriculum_files,
        # Validation measures a model and does not change it. The file has the same name whatever it holds, and is ancient, so that
        # other validation problems make no model stale; settings and file are used by the next training.
        validation=ancient(rules.select_validation_problems.output.problems),
        model=model_files("stage1-rft"),
    output:
        weights=run_path("checkpoints/string-task/stage2-rl-{curriculum}/model.safetensors"),
        config=run_path("checkpoints/string-task/stage2-rl-{curriculum}/config.json"),
        generation_config=run_path("checkpoints/string-task/stage2-rl-{curriculum}/generation_config.json"),
        tokenizer=run_path("checkpoints/string-task/stage2-rl-{curriculum}/tokenizer.json"),
        tokenizer_config=run_path("checkpoints/string-task/stage2-rl-{curriculum}/tokenizer_config.json"),
        chat_template=run_path("checkpoints/string-task/stage2-rl-{curriculum}/chat_template.jinja"),
        metrics=run_path("checkpoints/string-task/stage2-rl-{curriculum}/metrics.jsonl"),
    log:
        run_path("logs/train_rl/{curriculum}.log"),
    benchmark:
        run_path("benchmarks/results/train_rl/{curriculum}.tsv")
    priority: 10
    conda:
        environment(settings.stage2.rl.engine)
    threads: settings.training.stage2_threads
    resources:
        **NODES,
        gpu=settings.training.workers(),
        mem_mb=memory("train_rl"),
        runtime=minutes("train_rl"),
    params:
        spec=rl_spec,
        data=curriculum_arguments,
        validation=untracked(settings.stage2.rl.validation.model_dump_json()),
        model=model_input_folder,
        folder=output_folder,
        state=run_path("checkpoints/string-task/.resume/stage2-rl-{curriculum}"),
        work=rl_work,
    shell:
        'python "$SCRIPTS"/train_rl.py --spec {params.spec:q} --model {params.model:q} --data {params.data:q}'
        " --validation {input.validation:q} --validation-settings {params.validation:q}"
        " --output {params.folder:q} --state {params.state:q} {params.work} --threads {threads} 2>&1 | tee {log:q}"
