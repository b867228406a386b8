"""Check what Snakemake's command line says about the configuration. Profiles do it, before Snakemake fails with a traceback."""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from fofg.config import read
from fofg.errors import UserError


def check(arguments: Sequence[str]) -> None:
    """Exit with one sentence if a file of ``--configfile`` is missing, broken or empty, or a key of ``--config`` is dotted."""
    try:
        for path in _values(arguments, "--configfile", "--configfiles"):
            if not read([path]) and yaml.compose(Path(path).read_text(encoding="utf-8-sig")) is None:
                raise UserError(f"{path}: no keys; write KEY: VALUE, or leave the file out")
        for value in _values(arguments, "--config", "-C"):
            key, equals, _ = value.partition("=")
            if not equals:
                raise UserError(f"--config: {value} is not of the form KEY=VALUE; targets stand before --config")
            if "." in key:
                raise UserError(
                    f"--config: {key} is dotted; `fofg set '{value}' > mine.yaml` writes it to a file for --configfile mine.yaml"
                )
    except UserError as error:
        sys.exit(f"error: {error}")


def _values(arguments: Sequence[str], *options: str) -> list[str]:
    """Return the values of an option, which may be given several times: all that follow it, up to the next option."""
    values = []
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in options and equals:
            values.append(value)
        elif argument in options:
            values += itertools.takewhile(lambda word: not word.startswith("-"), arguments[position + 1 :])
    return values
