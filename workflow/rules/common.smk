# The question, resolved when the workflow starts: snakemake --config study=NAME
#   overrides='["calibration=ideal"]' adds Hydra overrides, config_dir=FOLDER the user's own options.
import os
import sys
from pathlib import Path

from infercost.errors import SpecError
from infercost.provenance import code_digest
from infercost.workplan import prepare

WORK = Path("data/work")
DATASETS = Path("data/datasets")


def listed(key):
    """A configuration value that may be one text or a list of them."""
    value = config.get(key, [])
    return tuple(value) if isinstance(value, list) else (str(value),)


try:
    PLAN = prepare(
        config.get("study", "memory-wall"), listed("overrides"), listed("config_dir"), WORK
    )
except SpecError as error:
    raise WorkflowError(str(error)) from None

RUN = WORK / PLAN.study / PLAN.digest
RESULTS = Path("data/results") / PLAN.study / PLAN.digest
PUBLISHED = RUN / "published.json"
LOGS = RUN / "logs"
BENCHMARKS = RUN / "benchmarks"
# In the environment, not in params, where a new plan would be a reason to compute all parts again.
os.environ.update(INFERCOST_PLAN=PLAN.file, INFERCOST_WORKERS=str(workflow.cores or 1))
# Jobs call the Python that runs Snakemake, whether or not its environment is activated.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))


# On a cluster these run where Snakemake does: seconds each.
localrules:
    all,
    plot,
    report,


wildcard_constraints:
    part="[0-9a-f]{16}",
    figure="[a-z0-9-]+",
