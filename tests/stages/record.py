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
    """Hash of a stage's source without comments, docstrings and layout."""
    seen = hashlib.sha256()
    for pattern in SOURCES[stage]:
        files = sorted(ROOT.glob(pattern))
        if not files:
            raise FileNotFoundError(f"{pattern}: named by stage {stage}, matches no file")
        for path in files:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                body = getattr(node, "body", None)
                if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                    body[0].value.value = ""
            seen.update(f"{path.relative_to(ROOT)}\0{ast.dump(tree)}\0".encode())
    return seen.hexdigest()[:16]


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
