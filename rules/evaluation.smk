"""Accuracy on test problems, pass@k, failures."""


rule generate_stage1_test_rollouts:
    """Rollouts of the base or Stage-1 model on Stage 1's test problems, definitions visible or hidden."""
    input:
        problems=stage1_problems("test"),
        model=evaluated_files,
    output:
        rollouts="<results>/evaluation/{model}/{definitions}/rollouts.parquet",
    log:
        "<logs>/generate_stage1_test_rollouts/{model}-{definitions}.log",
    benchmark:
        "<benchmarks>/results/generate_stage1_test_rollouts/{model}-{definitions}.tsv"
    conda:
        environment(settings.rollout_engine.name)
    threads: settings.rollout_engine.threads
    resources:
        **rollout_job("generate_stage1_test_rollouts", estimate_stage1_test),
    params:
        spec=stage1_test_spec,
        model=model_input_folder,
        work=rollout_work,
    shell:
        'python "$SCRIPTS"/generate_rollouts.py --spec {params.spec:q} --problems {input.problems:q} --model {params.model:q}'
        " --output {output.rollouts:q} {params.work} --threads {threads} 2>&1 | tee {log:q}"


rule score_rollouts:
    """Verdicts on the responses to Stage 1's test problems."""
    input:
        rollouts=rules.generate_stage1_test_rollouts.output.rollouts,
    output:
        verdicts="<results>/evaluation/{model}/{definitions}/verdicts.parquet",
    log:
        "<logs>/score_rollouts/{model}-{definitions}.log",
    benchmark:
        "<benchmarks>/results/score_rollouts/{model}-{definitions}.tsv"
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
    """Table: Stage-1 accuracy by model, definitions and level, with 95% intervals."""
    input:
        verdicts=expand(
            rules.score_rollouts.output.verdicts,
            model=["base", "stage1-rft"],
            definitions=DEFINITIONS,
        ),
        train=stage1_problems("train"),
        test=stage1_problems("test"),
    output:
        csv=report(
            "<results>/stage1_accuracy.csv",
            caption=f"{CAPTIONS}/accuracy.rst",
            category="Stage 1",
            labels={"figure": "Accuracy (table)"},
        ),
        markdown="<results>/stage1_accuracy.md",
    log:
        "<logs>/summarize_accuracy.log",
    benchmark:
        "<benchmarks>/results/summarize_accuracy.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.summarize_accuracy(["base", "stage1-rft"])),
        verdicts=named("verdicts", [f"{model}/{definitions}" for model in ("base", "stage1-rft") for definitions in DEFINITIONS]),
    shell:
        'python "$SCRIPTS"/summarize_accuracy.py --spec {params.spec:q} --verdicts {params.verdicts:q} --train {input.train:q}'
        " --test {input.test:q} --csv {output.csv:q} --markdown {output.markdown:q} 2>&1 | tee {log:q}"


rule plot_accuracy:
    """Figure: accuracy before and after Stage 1, definitions visible and hidden."""
    input:
        accuracy=rules.summarize_accuracy.output.csv,
    output:
        report(
            figure("stage1_accuracy")[0],
            caption=f"{CAPTIONS}/accuracy.rst",
            category="Stage 1",
            labels={"figure": "Accuracy"},
        ),
        figure("stage1_accuracy")[1:],
    log:
        "<logs>/plot_accuracy.log",
    benchmark:
        "<benchmarks>/results/plot_accuracy.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.plot_figures(settings)),
        stem=output_stem,
    shell:
        'python "$SCRIPTS"/plot_accuracy.py --spec {params.spec:q} '
        "--accuracy {input.accuracy:q} "
        "--stem {params.stem:q} 2>&1 | tee {log:q}"


rule generate_held_out_rollouts:
    """Responses of one model to the evaluation's problems, sampled or greedy."""
    input:
        problems=problems_file(settings.evaluation.dataset, "test"),
        model=evaluated_files,
    output:
        rollouts="<results>/evaluation/{model}/held-out/{decoding}/rollouts.parquet",
    log:
        "<logs>/generate_held_out_rollouts/{model}-{decoding}.log",
    benchmark:
        "<benchmarks>/results/generate_held_out_rollouts/{model}-{decoding}.tsv"
    conda:
        environment(settings.rollout_engine.name)
    threads: settings.rollout_engine.threads
    resources:
        **rollout_job("generate_held_out_rollouts", estimate_held_out),
    params:
        spec=held_out_spec,
        model=model_input_folder,
        work=rollout_work,
    shell:
        'python "$SCRIPTS"/generate_rollouts.py --spec {params.spec:q} --problems {input.problems:q} --model {params.model:q}'
        " --output {output.rollouts:q} {params.work} --threads {threads} 2>&1 | tee {log:q}"


rule score_held_out:
    """Verdicts on all of a model's responses to the evaluation's problems."""
    input:
        rollouts=held_out_rollouts,
    output:
        verdicts="<results>/evaluation/{model}/verdicts.parquet",
    log:
        "<logs>/score_held_out/{model}.log",
    benchmark:
        "<benchmarks>/results/score_held_out/{model}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        spec=fixed(stages.score_rollouts(settings)),
        rollouts=named("rollouts", DECODINGS),
    shell:
        'python "$SCRIPTS"/score_held_out.py --spec {params.spec:q} --rollouts {params.rollouts:q} --output {output.verdicts:q} 2>&1 | tee {log:q}'


rule summarize_evaluation:
    """Table: accuracy of every model by decoding and level, with 95% intervals."""
    input:
        verdicts=list(of_models("<results>/evaluation/{model}/verdicts.parquet", MODELS).values()),
    output:
        parquet="<results>/accuracy.parquet",
        csv=report(
            "<results>/accuracy.csv",
            caption=f"{CAPTIONS}/held_out_accuracy.rst",
            category="Stage 2",
            labels={"figure": "Accuracy by level (table)"},
        ),
    log:
        "<logs>/summarize_evaluation.log",
    benchmark:
        "<benchmarks>/results/summarize_evaluation.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.summarize_evaluation(settings)),
        verdicts=named("verdicts", MODELS),
    shell:
        'python "$SCRIPTS"/summarize_evaluation.py --spec {params.spec:q} --verdicts {params.verdicts:q}'
        " --parquet {output.parquet:q} --csv {output.csv:q} 2>&1 | tee {log:q}"


rule generate_passk_rollouts:
    """Many responses of one model to a shard of the problems of pass@k."""
    input:
        problems=problems_file(settings.passk.dataset, "test"),
        model=evaluated_files,
    output:
        rollouts="<results>/passk/{model}/rollouts/{shard}.parquet",
    log:
        "<logs>/generate_passk_rollouts/{model}/{shard}.log",
    benchmark:
        "<benchmarks>/results/generate_passk_rollouts/{model}/{shard}.tsv"
    conda:
        environment(settings.rollout_engine.name)
    threads: settings.rollout_engine.threads
    resources:
        **rollout_job("generate_passk_rollouts", estimate_passk),
    params:
        spec=passk_spec,
        model=model_input_folder,
        work=rollout_work,
    shell:
        'python "$SCRIPTS"/generate_rollouts.py --spec {params.spec:q} --problems {input.problems:q} --model {params.model:q}'
        " --output {output.rollouts:q} {params.work} --threads {threads} 2>&1 | tee {log:q}"


rule count_passk:
    """Correct responses of one model to each problem."""
    input:
        rollouts=passk_shards,
    output:
        counts="<results>/passk/{model}/counts.parquet",
    log:
        "<logs>/count_passk/{model}.log",
    benchmark:
        "<benchmarks>/results/count_passk/{model}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(1000),
        runtime=growing(30, "minutes"),
    params:
        spec=fixed(stages.count_passk(settings)),
    shell:
        'python "$SCRIPTS"/count_passk.py --spec {params.spec:q} --rollouts {input.rollouts:q} --output {output.counts:q} 2>&1 | tee {log:q}'


rule summarize_passk:
    """Table: pass@k by model and level."""
    input:
        counts=list(of_models("<results>/passk/{model}/counts.parquet", settings.passk.models).values()),
    output:
        parquet="<results>/passk.parquet",
        csv=report(
            "<results>/passk.csv",
            caption=f"{CAPTIONS}/passk.rst",
            category="Stage 2",
            labels={"figure": "pass@k (table)"},
        ),
    log:
        "<logs>/summarize_passk.log",
    benchmark:
        "<benchmarks>/results/summarize_passk.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.summarize_passk(settings)),
        counts=named("counts", settings.passk.models),
    shell:
        'python "$SCRIPTS"/summarize_passk.py --spec {params.spec:q} --counts {params.counts:q}'
        " --parquet {output.parquet:q} --csv {output.csv:q} 2>&1 | tee {log:q}"


rule classify_failures:
    """The class of every sampled response to the evaluation's problems: correct, or why not."""
    input:
        rollouts="<results>/evaluation/{model}/held-out/sampled/rollouts.parquet",
    output:
        failures="<results>/evaluation/{model}/failures.parquet",
    log:
        "<logs>/classify_failures/{model}.log",
    benchmark:
        "<benchmarks>/results/classify_failures/{model}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        spec=fixed(stages.classify_failures(settings)),
    shell:
        'python "$SCRIPTS"/classify_failures.py --spec {params.spec:q} --rollouts {input.rollouts:q} --output {output.failures:q} 2>&1 | tee {log:q}'


rule summarize_failures:
    """Table: shares of the classes by model and level."""
    input:
        failures=list(of_models("<results>/evaluation/{model}/failures.parquet", MODELS).values()),
    output:
        parquet="<results>/failures.parquet",
        csv=report(
            "<results>/failures.csv",
            caption=f"{CAPTIONS}/failures.rst",
            category="Stage 2",
            labels={"figure": "Failures (table)"},
        ),
    log:
        "<logs>/summarize_failures.log",
    benchmark:
        "<benchmarks>/results/summarize_failures.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.summarize_failures(settings)),
        failures=named("failures", MODELS),
    shell:
        'python "$SCRIPTS"/summarize_failures.py --spec {params.spec:q} --failures {params.failures:q}'
        " --parquet {output.parquet:q} --csv {output.csv:q} 2>&1 | tee {log:q}"
