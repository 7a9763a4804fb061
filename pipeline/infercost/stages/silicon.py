"""The final examination: predict AIConfigurator's end-to-end measurements, print the errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from infercost.kernels import silicon
from infercost.measurements.validation import validate


def run(sample: Path, work: Path) -> None:
    """Write the sample in our columns and its predictions into `work`, print a summary."""
    work.mkdir(parents=True, exist_ok=True)
    rows, left = silicon.read(sample)
    table = work / "silicon.csv"
    silicon.write(rows, table)
    found = validate(table)
    (work / "silicon.json").write_text(json.dumps(found, indent=1) + "\n")
    answered = found["rows"]
    error = np.array([row["error"] for row in answered])
    complete, total = len(rows), len(rows) + sum(left.values())
    print(f"{total} rows are not disaggregated, {complete} of them state all inputs")
    print(f"answered: {len(answered)}, {len(answered) / complete:.1%} of the complete ones")
    print(
        f"TPOT: median absolute error {np.median(abs(error)):.1%}, mean {abs(error).mean():.1%},"
        f" p90 {np.quantile(abs(error), 0.9):.1%}, bias {np.median(error):+.1%}"
    )
    print("\n".join(silicon.lines(answered)))
    print("not answered:")
    for reason, count in [*left.items(), *found["summary"]["reasons"].items()]:
        print(f"  {count:5d}  {reason}")
