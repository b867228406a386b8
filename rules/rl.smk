"""Reinforcement learning."""


rule train_rl:
    """GRPO from the Stage-1 model on the problems of a curriculum."""
    input:
        data=curriculum_files,
        model=model_files("stage1-rft"),
    output:
        weights="<models>/stage2-rl-{curriculum}/model.safetensors",
        config="<models>/stage2-rl-{curriculum}/config.json",
        generation_config="<models>/stage2-rl-{curriculum}/generation_config.json",
        tokenizer="<models>/stage2-rl-{curriculum}/tokenizer.json",
        tokenizer_config="<models>/stage2-rl-{curriculum}/tokenizer_config.json",
        chat_template="<models>/stage2-rl-{curriculum}/chat_template.jinja",
        metrics="<models>/stage2-rl-{curriculum}/metrics.jsonl",
    log:
        "<logs>/train_rl/{curriculum}.log",
    benchmark:
        "<benchmarks>/results/train_rl/{curriculum}.tsv"
    priority: 10
    conda:
        environment(settings.stage2.rl.engine)
    threads: settings.training.stage2_threads
    resources:
        **training_job("train_rl", estimate_curriculum),
    params:
        spec=rl_spec,
        data=named("data", curriculum_names),
        model=model_input_folder,
        folder=output_folder,
        work=rl_work,
    shell:
        'python "$SCRIPTS"/train_rl.py --spec {params.spec:q} --model {params.model:q} --data {params.data:q}'
        " --output {params.folder:q} {params.work} --threads {threads} 2>&1 | tee {log:q}"
