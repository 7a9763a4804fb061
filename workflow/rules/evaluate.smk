# One job for each part. A part's name is the digest of all that its rows depend on.
rule evaluate:
    input:
        ancient(WORK / "specs" / "{part}.json"),
    output:
        WORK / "parts" / "{part}.parquet",
    log:
        LOGS / "evaluate-{part}.log",
    benchmark:
        BENCHMARKS / "evaluate-{part}.tsv"
    conda:
        "../envs/infercost.yaml"
    shell:
        "python -m infercost stage part {input} {output} 2> {log}"


# All parts land as one immutable version, whole or not at all.
rule publish:
    input:
        expand(WORK / "parts" / "{part}.parquet", part=PLAN.parts.values()),
    output:
        PUBLISHED,
    log:
        LOGS / "publish.log",
    benchmark:
        BENCHMARKS / "publish.tsv"
    conda:
        "../envs/infercost.yaml"
    params:
        code=code_digest("infercost.stages.publish"),
    shell:
        "python -m infercost stage publish {output} 2> {log}"
