"""Accuracy on held-back problems."""


rule generate_evaluation_rollouts:
    """Roll-outs of one model on the held-back Level-1 problems, definitions visible or hidden."""
    input:
        problems=stage1_problems("test"),
        model=evaluated_files,
    output:
        rollouts=run_path("results/evaluation/{model}/{definitions}/rollouts.parquet"),
    log:
        run_path("logs/generate_evaluation_rollouts/{model}-{definitions}.log"),
    benchmark:
        run_path("benchmarks/results/generate_evaluation_rollouts/{model}-{definitions}.tsv")
    conda:
        ENVIRONMENT
    threads: settings.rollout_engine.threads
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        spec=evaluation_spec,
        model=model_input_folder,
        state=run_path("results/evaluation/{model}/{definitions}/.resume"),
        batch_size=speed_only(settings.rollout_engine.batch_size),
    shell:
        'python "$SCRIPTS"/generate_rollouts.py --spec {params.spec:q} --problems {input.problems:q} --model {params.model:q}'
        " --output {output.rollouts:q} --state {params.state:q} --batch-size {params.batch_size} --threads {threads} 2>&1 | tee {log:q}"


rule score_rollouts:
    """Reward and correctness of every response."""
    input:
        rollouts=rules.generate_evaluation_rollouts.output.rollouts,
    output:
        verdicts=run_path("results/evaluation/{model}/{definitions}/verdicts.parquet"),
    log:
        run_path("logs/score_rollouts/{model}-{definitions}.log"),
    benchmark:
        run_path("benchmarks/results/score_rollouts/{model}-{definitions}.tsv")
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        spec=fixed(stages.score_rollouts(settings)),
    shell:
        'python "$SCRIPTS"/score_rollouts.py --spec {params.spec:q} --rollouts {input.rollouts:q} --output {output.verdicts:q} 2>&1 | tee {log:q}'


rule summarize_accuracy:
    """Table: accuracy by model, definitions and level, with 95% intervals."""
    input:
        verdicts=expand(
            rules.score_rollouts.output.verdicts,
            model=EVALUATED,
            definitions=DEFINITIONS,
        ),
    output:
        csv=report(
            run_path("results/stage1_accuracy.csv"),
            caption=f"{CAPTIONS}/accuracy.rst",
            category="Stage 1",
            labels={"figure": "Accuracy (table)"},
        ),
        markdown=run_path("results/stage1_accuracy.md"),
    log:
        run_path("logs/summarize_accuracy.log"),
    benchmark:
        run_path("benchmarks/results/summarize_accuracy.tsv")
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.summarize_accuracy(EVALUATED)),
        verdicts=verdict_arguments,
    shell:
        'python "$SCRIPTS"/summarize_accuracy.py --spec {params.spec:q} --verdicts {params.verdicts:q} --csv {output.csv:q}'
        " --markdown {output.markdown:q} 2>&1 | tee {log:q}"


rule plot_accuracy:
    """Figure: accuracy before and after Stage 1, definitions visible and hidden."""
    input:
        accuracy=rules.summarize_accuracy.output.csv,
    output:
        report(
            figure("stage1_accuracy"),
            caption=f"{CAPTIONS}/accuracy.rst",
            category="Stage 1",
            labels={"figure": "Accuracy"},
        ),
    log:
        run_path("logs/plot_accuracy.log"),
    benchmark:
        run_path("benchmarks/results/plot_accuracy.tsv")
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.plot_figures(settings)),
        stem=output_stem,
    shell:
        'python "$SCRIPTS"/plot_accuracy.py --spec {params.spec:q} --accuracy {input.accuracy:q} --stem {params.stem:q} 2>&1 | tee {log:q}'
