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
        results=RESULTS,
        claims=PLAN.claims,
        code=code_digest("infercost.stages.report"),
    shell:
        "python -m infercost stage report --published {input.published} --aggregates {input.aggregates}"
        " --figures {params.figures} {params.results} 2> {log}"
