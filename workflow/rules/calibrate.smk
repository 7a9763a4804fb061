# Fit all calibrations to the public table and examine the fit: snakemake calibrate. Five minutes.
rule calibrate:
    input:
        "data/reference/measured.csv",
    output:
        report="data/reference/calibration_report.json",
        examination="data/reference/examination.csv",
        common="conf/calibration/common.yaml",
    log:
        WORK / "calibrate.log",
    conda:
        "../envs/infercost.yaml"
    threads: 2
    params:
        code=code_digest("infercost.stages.calibrate"),
    shell:
        "OPENBLAS_NUM_THREADS=1 python -m infercost stage calibrate --workers {threads}"
        " {output.common} {output.report} {output.examination} 2> {log}"
