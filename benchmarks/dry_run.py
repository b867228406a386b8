#!/usr/bin/env python
"""Time a dry run of the paper's whole run on a SLURM cluster, compared with a bare Snakemake.

``python benchmarks/dry_run.py [--configfile OVERLAY ...] [--repeats N]`` prints JSON in its last line: medians.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def timed(*arguments: str) -> tuple[float, str]:
    """Run Snakemake in the project's root. Return its seconds and output."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "snakemake", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configfile", nargs="+", default=["config/paper.yaml"], metavar="OVERLAY")
    parser.add_argument("--repeats", type=int, default=5, metavar="N")
    options = parser.parse_args()
    dry = ["all", "--dry-run", "--workflow-profile", "profiles/slurm", "--configfile", *options.configfile]
    planned, bare = [], []
    for repeat in range(options.repeats):
        seconds, output = timed(*dry)
        planned.append(seconds)
        bare.append(timed("--version")[0])
        print(f"{repeat + 1}: {planned[-1]:.2f} s, bare {bare[-1]:.2f} s", file=sys.stderr)
    jobs = int(re.search(r"^total +(\d+)$", output, re.MULTILINE)[1])
    seconds, alone = statistics.median(planned), statistics.median(bare)
    result = {"benchmark": "dry_run", "jobs": jobs, "seconds": round(seconds, 2), "bare_snakemake": round(alone, 2)}
    print(json.dumps(result | {"ratio": round(seconds / alone, 1)}))


if __name__ == "__main__":
    main()
