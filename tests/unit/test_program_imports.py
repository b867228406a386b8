"""Programs start fast because they load only what they use."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Packages that take long to load, which programs load when they have work for them.
SLOW = {"torch", "transformers", "vllm", "verl", "matplotlib", "pandas", "scipy", "snakemake"}


def loaded(code: str, *arguments: str) -> set[str]:
    """Run code in a new Python and return the top-level modules that it loaded."""
    code = f"import json, sys\n{code}\nprint(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_jobs_that_run_no_model_load_no_torch():
    modules = ["rollouts.gather", "rft.selection", "rft.merge", "data.description", "data.chunks", "report.summary"]
    modules += [f"evaluation.{name}" for name in ("verdicts", "accuracy", "comparisons", "pass_at_k", "failures")]
    assert not loaded("\n".join(f"import fofg.{name}" for name in modules)) & {"torch", "transformers"}


def test_programs_parse_arguments_before_loading_slow_packages():
    programs = sorted(map(str, ROOT.glob("workflow/scripts/*.py")))
    assert programs
    code = "import runpy\nfor path in sys.argv[1:]:\n    runpy.run_path(path)"
    assert not loaded(code, *programs) & SLOW
