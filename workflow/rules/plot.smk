# A figure is a drawing for print (svg, png), its numbers (csv) and its specification (json).
rule plot:
    input:
        published=PUBLISHED,
        aggregates=RESULTS / "aggregates",
    output:
        multiext(
            str(RESULTS / "figures" / "{figure}"), ".svg", ".png", ".csv", ".json", ".about.json"
        ),
    log:
        LOGS / "plot-{figure}.log",
    benchmark:
        BENCHMARKS / "plot-{figure}.tsv"
    conda:
        "../envs/infercost.yaml"
    params:
        stem=lambda wildcards: RESULTS / "figures" / wildcards.figure,
        code=code_digest("infercost.stages.figure"),
    shell:
        "python -m infercost stage figure --published {input.published} --aggregates {input.aggregates}"
        " {params.stem} 2> {log}"
