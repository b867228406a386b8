"""Rejection fine-tuning data: the correct responses."""


rule select_rft_data:
    """Keep the correct responses to problems that are not always solved, as training examples."""
    input:
        rollouts=rules.gather_rollouts.output.rollouts,
    output:
        train="<data>/{round}/rft_data/train.parquet",
        test="<data>/{round}/rft_data/test.parquet",
        selection="<data>/{round}/rft_data/selection.json",
    log:
        "<logs>/select_rft_data/{round}.log",
    benchmark:
        "<benchmarks>/results/select_rft_data/{round}.tsv"
    priority: 20
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=growing(2000),
        runtime=growing(60, "minutes"),
    params:
        spec=selection_spec,
        allow_empty=allow_empty,
    shell:
        'python "$SCRIPTS"/select_rft_data.py --spec {params.spec:q} --rollouts {input.rollouts:q} --train {output.train:q}'
        " --test {output.test:q} --summary {output.selection:q} {params.allow_empty} --workers {threads} 2>&1 | tee {log:q}"


rule link_iteration_data:
    """The rollouts and RFT data of the last iteration under a name without its number."""
    input:
        last_iteration("data"),
    output:
        final_rft("data"),
    log:
        "<logs>/link_iteration_data.log",
    benchmark:
        "<benchmarks>/results/link_iteration_data.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.link_iteration(settings)),
        pairs=link_arguments,
    shell:
        'python "$SCRIPTS"/link_iteration.py --spec {params.spec:q} --pairs {params.pairs:q} 2>&1 | tee {log:q}'


rule link_iteration_model:
    """The model of the last iteration under a name without its number."""
    input:
        last_iteration("model"),
    output:
        final_rft("model"),
    log:
        "<logs>/link_iteration_model.log",
    benchmark:
        "<benchmarks>/results/link_iteration_model.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.link_iteration(settings)),
        pairs=link_arguments,
    shell:
        'python "$SCRIPTS"/link_iteration.py --spec {params.spec:q} --pairs {params.pairs:q} 2>&1 | tee {log:q}'


rule plot_selection:
    """Figure: Stage-1 responses kept and dropped by reason, exposure by function."""
    input:
        selection="<data>/stage1_level1/rft_data/selection.json",
    output:
        report(
            figure("stage1_selection")[0],
            caption=f"{CAPTIONS}/selection.rst",
            category="Stage 1",
            labels={"figure": "RFT data"},
        ),
        figure("stage1_selection")[1:],
    log:
        "<logs>/plot_selection.log",
    benchmark:
        "<benchmarks>/results/plot_selection.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        spec=fixed(stages.plot_figures(settings)),
        stem=output_stem,
    shell:
        'python "$SCRIPTS"/plot_selection.py --spec {params.spec:q} '
        "--selection {input.selection:q} "
        "--stem {params.stem:q} 2>&1 | tee {log:q}"
