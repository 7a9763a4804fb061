# The answer in words, and the page that shows it. Last of all, `latest` points here.
rule report:
    input:
        published=PUBLISHED,
        aggregates=RESULTS / "aggregates",
        figures=expand(RESULTS / "figures" / "{figure}.svg", figure=PLAN.figures),
    output:
        answer=RESULTS / "answer.txt",
        page=RESULTS / "report.html",
    log:
        LOGS / "report.log",
    benchmark:
        BENCHMARKS / "report.tsv"
    conda:
        "../envs/infercost.yaml"
    params:
        figures=RESULTS / "figures",
        code=code_digest("infercost.stages.report"),
    shell:
        "{STAGE} report {WITH_PLAN} --published {input.published} --aggregates {input.aggregates}"
        " --figures {params.figures} {RESULTS} 2> {log}"
