"""Reinforcement learning."""


rule train_rl:
    """GRPO from the Stage-1 model on the problems of a curriculum."""
    input:
        data=curriculum_files,
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
        model=model_input_folder,
        folder=output_folder,
        state=run_path("checkpoints/string-task/.resume/stage2-rl-{curriculum}"),
        work=rl_work,
    shell:
        'python "$SCRIPTS"/train_rl.py --spec {params.spec:q} --model {params.model:q} --data {params.data:q}'
        " --output {params.folder:q} --state {params.state:q} {params.work} --threads {threads} 2>&1 | tee {log:q}"
