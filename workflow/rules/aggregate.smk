# Named tables over the published rows, and the operators of the best points.
rule aggregate:
    input:
        PUBLISHED,
    output:
        directory(RESULTS / "aggregates"),
    log:
        LOGS / "aggregate.log",
    benchmark:
        BENCHMARKS / "aggregate.tsv"
    conda:
        "../envs/infercost.yaml"
    params:
        code=code_digest("infercost.stages.aggregate"),
    shell:
        "python -m infercost stage aggregate --published {input} {output} 2> {log}"
