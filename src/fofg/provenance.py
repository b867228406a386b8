"""Check files that Snakemake has no record of, and therefore takes for current, whatever they were made with.

That is so for a run that was copied without ``.snakemake``, or that is reached by another path. ``results/config.json`` of a run
holds the configuration it was last started with, which is compared instead. ``results/changed_keys.json`` lists the keys that had
other values at an earlier start, until no file of that start can be left: a stopped run has files of both configurations.
"""

import json
import os
import shlex
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from fofg.config import Config, at, keys
from fofg.config.types import CHECKOUT
from fofg.data.files import write_json
from fofg.errors import UserError
from fofg.models.model_files import digest
from fofg.runtime.run_registry import REGISTRY

#: Keys and sections that change no file's content.
FREE = (
    "run_dir",
    "sweep",
    "container",
    "cluster",
    "plan",
    "training",
    "rollout_engine.batch_size",
    "rollout_engine.threads",
    "rollout_engine.gpus",
    "rollout_engine.jobs_per_gpu",
    "stage2.rft.on_empty_selection",
    "stage2.rl.on_empty_step",
    "stage2.rl.on_incomplete_step",
    "stage2.rl.validation",
)
CONFIG, CHANGED_KEYS = "results/config.json", "results/changed_keys.json"


def enclosing_run(folder: str | os.PathLike) -> str | None:
    """Return the nearest folder, from this one upward, that runs were started in, or this checkout; else one with a run's files."""
    folders = [Path(folder).absolute(), *Path(folder).absolute().parents]
    started = (path for path in folders if path == CHECKOUT or (path / ".snakemake" / REGISTRY).is_dir())
    with_files = (path for path in folders if (path / CONFIG).is_file())
    folder_of_run = next(started, None) or next(with_files, None)
    return str(folder_of_run) if folder_of_run else None


def changed_keys(settings: Config, cache: str | os.PathLike | None = None) -> list[str] | None:
    """Return the dotted keys that affect results and have changed since files of the run were made; None if unknown.

    ``cache``: as of ``digest``.
    """
    before = _read(settings, CONFIG)
    if not isinstance(before, dict):
        return None
    current = settings.model_dump(mode="json")
    known = set(keys(current)) - {"base_model"}
    both = [key for key in keys(before) if key in known and not any(f"{key}.".startswith(f"{free}.") for free in FREE)]
    changed = [key for key in both if not _same(key, before, current)]
    if not _same_model(before, settings, cache):
        changed.append("base_model")
    return sorted({*changed, *(_read(settings, CHANGED_KEYS) or [])})


def note(settings: Config, changed: list[str]) -> None:
    """Write a starting run's configuration, and ``changed``: keys for which files of other values may exist."""
    if changed:
        write_json(Path(settings.run_dir, CHANGED_KEYS), changed)
    else:
        forget(settings.run_dir)
    write_json(Path(settings.run_dir, CONFIG), settings.model_dump(mode="json"))


def forget(run_dir: str | os.PathLike) -> None:
    """Remove the list of changed keys, since all files of the run now belong to its last configuration."""
    path = Path(run_dir, CHANGED_KEYS)
    if path.exists():
        path.unlink()


def unrecorded(files: Iterable[str], folder: str | Path = ".snakemake") -> list[str]:
    """Return the files that Snakemake has no record of. ``folder``: its working folder, with one file per record.

    Files marked incomplete are not among them: their job is running, or was killed and will run again.
    """
    return [path for path in files if not any(Path(folder, kind, *_record(path)).exists() for kind in ("metadata", "incomplete"))]


def refuse(changed: list[str] | None, files: list[str], run_dir: str, snakefile: str) -> None:
    """Raise UserError if files without a record were made with another configuration. ``snakefile``: the main one."""
    if not (changed and files):
        return
    message = (
        f"{_names(files)}: made with another configuration ({', '.join(changed[:5])}{', ...' if changed[5:] else ''}), and "
        "Snakemake has no record by which it would make them again; copy .snakemake along with a run, or set another run_dir"
    )
    if not Path(run_dir, CHANGED_KEYS).exists():  # else they are of several configurations, and a record would be wrong
        options = "" if os.path.realpath(snakefile) == os.path.realpath("Snakefile") else f"-s {shlex.quote(snakefile)} "
        message += (
            f", or record them first, then start again: snakemake all {options}--cores 1 --touch --forceall --configfile "
            f"{shlex.quote(f'{run_dir}/{CONFIG}')} --config {shlex.quote(f'run_dir={run_dir}')}"
        )
    raise UserError(message)


def unknown(files: list[str], run_dir: str) -> str:
    """Return a warning about files whose configuration is unknown to Snakemake and to the run."""
    return (
        f"{_names(files)}: taken for current, since Snakemake has no record of them and there is no {run_dir}/{CONFIG} to compare "
        "with; copy .snakemake along with a run, or set another run_dir"
    )


def _names(files: list[str]) -> str:
    return files[0] + (f" and {len(files) - 1} more" if len(files) > 1 else "")


def _read(settings: Config, name: str):
    with suppress(OSError, ValueError):
        return json.loads(Path(settings.run_dir, name).read_text(encoding="utf-8"))
    return None


def _same_model(before: dict, settings: Config, cache: str | os.PathLike | None) -> bool:
    """Compare the model with the prepared one by their bytes; by name if either is not available."""
    with suppress(OSError, KeyError, TypeError):
        if isinstance(settings.base_model, str) and os.path.isdir(settings.base_model):
            return digest(Path(settings.base_model), cache) == _read(settings, "checkpoints/base/source.json")["source"]
    current = settings.model_dump(mode="json")["base_model"]
    return before.get("base_model", current) == current


def _same(key: str, before: dict, current: dict) -> bool:
    old, new = at(before, key), at(current, key)
    if not (key.startswith("use.") and old and new):
        return old == new
    # A relative path lies below the folder that the run was started in, and so does a relative run_dir.
    was = before.get("run_dir", ".")
    start = "." if os.path.isabs(was) else os.path.join(current["run_dir"], os.path.relpath(".", was))
    return os.path.realpath(os.path.join(start, old)) == os.path.realpath(new)


def _record(path: str) -> list[str]:
    """Return the parts of the name of Snakemake's record of a file: its path in base64, cut at 254 characters."""
    code = urlsafe_b64encode(path.encode()).decode()
    parts = [code[i : i + 254] for i in range(0, len(code), 254)]
    return [*(f"@{part}" for part in parts[:-1]), parts[-1]]
