"""Configurations for tests."""

from pathlib import Path

from fofg.config import Config, load, merge, read

ROOT = Path(__file__).parents[1]
DEFAULT, PAPER = ROOT / "config/default.yaml", ROOT / "config/paper.yaml"


def configured(*files: Path, **changes) -> Config:
    """Return the default configuration with overlays and changed keys; the embedded model is found from any folder."""
    values = read([DEFAULT])
    values["base_model"] = str(ROOT / values["base_model"])
    for overlay in (read(files), changes):
        merge(values, overlay)
    return load(values)
