# Operator measurements of current stacks, for development alone: snakemake kernels, snakemake silicon.
# The wheel is fetched by pip, read, and nothing of it is kept but what the report and options say.
AICONFIGURATOR = WORK / "aiconfigurator" / "aiconfigurator_core"


rule fetch_kernels:
    output:
        tables=directory(AICONFIGURATOR / "systems"),
    log:
        WORK / "fetch-kernels.log",
    conda:
        "../envs/infercost.yaml"
    params:
        wheel="aiconfigurator-core==0.12.0",
        folder=WORK / "aiconfigurator",
    shell:
        "python -m pip install --no-deps --only-binary=:all: --python-version 3.12"
        " --platform manylinux_2_28_x86_64 --upgrade --target {params.folder} {params.wheel}"
        " > {log} 2>&1"


rule kernels:
    input:
        AICONFIGURATOR / "systems",
    output:
        report="data/reference/kernel_report.json",
    log:
        WORK / "kernels.log",
    conda:
        "../envs/infercost.yaml"
    params:
        options="conf/calibration",
        code=code_digest("infercost.stages.kernels"),
    shell:
        "OPENBLAS_NUM_THREADS=1 python -m infercost stage kernels {input}/data {params.options}"
        " {output.report} 2> {log}"


# Predictions only: no fit and no choice may look at these measurements.
rule silicon:
    input:
        AICONFIGURATOR / "systems",
    output:
        directory(WORK / "silicon"),
    log:
        WORK / "silicon.log",
    conda:
        "../envs/infercost.yaml"
    params:
        code=code_digest("infercost.stages.silicon"),
    shell:
        "python -m infercost stage silicon {input}/silicon_sample.csv {output} 2> {log}"
