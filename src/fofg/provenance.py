"""Files that Snakemake has no record of. It takes them for current, whatever they were made with.

That is so for a run that was copied without ``.snakemake``, or that is reached by another path. ``results/config.json`` of a run
holds the configuration it was last started with, which is compared instead.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from fofg.config import Config, keys
from fofg.errors import UserError

#: Keys and sections that change no file's content.
FREE = (
    "run_dir",
    "container",
    "cluster",
    "plan",
    "training",
    "rollout_engine.batch_size",
    "rollout_engine.threads",
    "rollout_engine.gpus",
    "rollout_engine.jobs_per_gpu",
    "stage2.rft.nothing_kept",
    "stage2.rl.empty_step",
    "stage2.rl.incomplete_step",
    "stage2.rl.validation.every",
    "stage2.rl.validation.greedy",
)


def changed_keys(config: str | Path, settings: Config) -> list[str]:
    """Return the keys, dotted, that decide results and differ between ``results/config.json`` and the settings; none without it."""
    before: dict = {}
    with suppress(OSError, ValueError):
        before = json.loads(Path(config).read_text(encoding="utf-8"))
    now = settings.model_dump(mode="json")
    both = [key for key in keys(before) if not any(f"{key}.".startswith(f"{free}.") for free in FREE)]
    return [key for key in both if key in set(keys(now)) and _at(before, key) != _at(now, key)]


def unrecorded(files: Iterable[str], folder: str | Path = ".snakemake") -> list[str]:
    """Return the files that Snakemake has no record of. ``folder``: its working folder, with a file per record.

    A file marked incomplete is not one of them: its job runs, or was killed, and Snakemake makes it again.
    """
    return [path for path in files if not any(Path(folder, kind, *_record(path)).exists() for kind in ("metadata", "incomplete"))]


def refuse(changed: list[str], files: list[str], run_dir: str) -> None:
    """Raise UserError if there are files without a record that another configuration made."""
    if files:
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        raise UserError(
            f"{files[0]}{more}: made with another configuration ({', '.join(changed[:5])}{', ...' if changed[5:] else ''}), and "
            "Snakemake has no record by which it would make them again; copy .snakemake along with a run, set another run_dir, or "
            f"record them first, then start again: snakemake all --cores 1 --touch --forceall --configfile {run_dir}/results/"
            f"config.json --config run_dir={run_dir}"
        )


def _record(path: str) -> list[str]:
    """Parts of the name of Snakemake's record of a file: its path in base64, cut at 254 characters."""
    code = urlsafe_b64encode(path.encode()).decode()
    parts = [code[i : i + 254] for i in range(0, len(code), 254)]
    return [*(f"@{part}" for part in parts[:-1]), parts[-1]]


def _at(values: dict, key: str):
    for name in key.split("."):
        values = values[name]
    return values
