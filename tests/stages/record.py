"""Records which source each stage's version stands for.

python tests/stages/record.py                   after raising the version of every stage whose source changed
python tests/stages/record.py --waive REASON    when the change leaves the stage's results alone
"""

import argparse
import ast
import hashlib
import json
import sys
from pathlib import Path

from fofg.stages import SOURCES, VERSIONS

ROOT = Path(__file__).parents[2]
RECORD = Path(__file__).with_name("sources.json")


def digest(stage: str) -> str:
    """Hash of a stage's source without docstrings, comment lines and empty lines."""
    seen = hashlib.sha256()
    for pattern in SOURCES[stage]:
        files = sorted(ROOT.glob(pattern))
        if not files:
            raise FileNotFoundError(f"{pattern}: named by stage {stage}, matches no file")
        for path in files:
            seen.update(f"{path.relative_to(ROOT)}\n{_code(path.read_text(encoding='utf-8'))}\n".encode())
    return seen.hexdigest()[:16]


def _code(text: str) -> str:
    described = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            described.update(range(node.lineno, node.end_lineno + 1))
    lines = (line.rstrip() for number, line in enumerate(text.splitlines(), 1) if number not in described)
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waive", metavar="REASON", help="why the results of the changed stages stay the same")
    reason = parser.parse_args().waive
    old = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    new = {}
    for stage, version in VERSIONS.items():
        entry = {"version": version, "source": digest(stage)}
        before = old.get(stage)
        if before and before["version"] == version:
            entry |= {key: before[key] for key in ("waiver",) if key in before}
            if before["source"] != entry["source"]:
                if not reason:
                    sys.exit(f"{stage}: its source changed, its version did not; raise VERSIONS[{stage!r}] or give --waive REASON")
                entry["waiver"] = reason
        new[stage] = entry
    RECORD.write_text(json.dumps(new, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
