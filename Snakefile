# Table of contents: what is asked, the steps, and what they are for.


include: "workflow/rules/common.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/plot.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/calibrate.smk"
include: "workflow/rules/kernels.smk"


rule all:
    default_target: True
    input:
        RESULTS / "answer.txt",
