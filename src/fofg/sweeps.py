"""Sweeps: the same experiment with other values of some keys, each combination of values a point of a grid.

A file of a point lies under ``sweep/KEY=NAME/...``, with a part for every swept key on which it depends, so that points share the
others. Values that the configuration has anyway have no part: the point with all of them is the run itself.
"""

import re
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

from fofg import names, preflight
from fofg.config import Config, canonical, load, merge, merged
from fofg.errors import UserError

#: Swept key -> name of its value; without those that have the configuration's own value.
Point = Mapping[str, str]


class Sweep:
    """The points of a configuration's sweep. Raises UserError for a key or value that the configuration can't have."""

    def __init__(self, values: dict, settings: Config) -> None:
        """``values``: the merged configuration as written, which ``settings`` was made from."""
        self._values, self._settings = values, settings
        self._options = dict(sorted(settings.sweep.items()))  # as in a job's spec
        self._configured: dict[str, Config] = {"": settings}
        #: Every combination of names, and the folder of its point; values of the last key change first.
        self.points = [(choice, self._folder(choice)) for choice in self._choices()] if self._options else []

    def _choices(self) -> list[dict[str, str]]:
        return [dict(zip(self._options, choice)) for choice in product(*self._options.values())]

    def _folder(self, choice: Point) -> str:
        """Return the folder of a combination of names, leaving out values that the configuration has anyway."""
        config = self._overlaid(choice)
        self._check_shape(choice, config)
        folder = self.folder({key: name for key, name in choice.items() if _at(config, key) != _at(self._settings, key)})
        self._configured[folder] = config
        return folder

    def folder(self, point: Point) -> str:
        """Return what the paths of a point's files begin with, under the run's folder: nothing, or "sweep/KEY=NAME/"."""
        parts = [f"{key}={point[key]}/" for key in sorted(point)]
        return "".join([names.SWEEP, *parts]) if parts else ""

    def point(self, folder: str) -> dict[str, str]:
        """Return the point of a folder."""
        parts = [part.partition("=") for part in folder.removeprefix(names.SWEEP).split("/")[:-1]]
        return {key: name for key, _, name in parts}

    def pattern(self) -> str:
        """Return a pattern of all folders, for `re`."""
        parts = [f"({re.escape(key)}=({'|'.join(map(re.escape, self._options[key]))})/)?" for key in self._options]
        return f"({names.SWEEP}{''.join(parts)})?"

    def settings(self, folder: str) -> Config:
        """Return the configuration of a point by its folder. Raises UserError if its values don't fit together."""
        if folder not in self._configured:
            self._configured[folder] = self._overlaid(self.point(folder))
        return self._configured[folder]

    def check(self) -> None:
        """Check every point as ``preflight.check`` does the configuration. Raises UserError, which names the point."""
        for choice, folder in self.points:
            try:
                preflight.check(self.settings(folder))
            except UserError as error:
                raise UserError(f"sweep: {_text(choice)}: {error}") from None

    def _overlaid(self, choice: Point) -> Config:
        overlay: dict[str, Any] = {}
        for key, name in choice.items():
            value = self._options[key][name]
            for part in reversed(key.split(".")):
                value = {part: value}
            merge(overlay, value)
        try:
            return load(merged(self._values, overlay))
        except UserError as error:
            lines = str(error).splitlines()[1:]
            raise UserError(f"sweep: {_text(choice)}: {'; '.join(line.strip() for line in lines)}") from None

    def _check_shape(self, choice: Point, config: Config) -> None:
        """Raise UserError if a point has other models, datasets, engines or another task, which the rules of all points share."""
        if _shape(config) != _shape(self._settings):
            message = "it changes which models, datasets, engines or task there are; start a run with its own run_dir for each"
            raise UserError(f"sweep: {_text(choice)}: {message}")


def needed(point: Point, content: Callable[[Point], Any]) -> Point:
    """Return a point without the keys that leave the content of a file as it is. ``content``: what decides it, by point."""
    whole = content(point)
    for key in list(point):
        fewer = {other: name for other, name in point.items() if other != key}
        if content(fewer) == whole:
            point = fewer
    return point


def _text(choice: Point) -> str:
    return ", ".join(f"{key}={name}" for key, name in choice.items())


def _shape(config: Config) -> tuple:
    engines = [config.stage0.sft.engine, config.stage1.sft.engine, config.stage2.rft.sft.engine, config.stage2.rl.engine]
    return config.models(), sorted(config.datasets), engines, config.problems.task, config.problems.data_source


def _at(config: Config, key: str) -> str | None:
    """Return the value of a dotted key as canonical JSON; None if there is none."""
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
    return None if value is None else canonical(value=value)
