"""What all programs share: a spec argument, plain errors, a log line for the machine's settings."""

import argparse
import sys
from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError

from fofg.errors import UserError
from fofg.stages import Spec
from fofg.supervision import stop_with_supervisor

AnySpec = TypeVar("AnySpec", bound=Spec)


def parser(description: str) -> argparse.ArgumentParser:
    """A parser whose help shows the description as written and every default."""
    return argparse.ArgumentParser(
        description=f"{description}\n\nUsable without Snakemake; a workflow rule runs it with the same arguments.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_spec(arguments: argparse.ArgumentParser, model: type[AnySpec]) -> None:
    """Adds ``--spec``: JSON text, or @FILE, that the model accepts."""

    def read(text: str) -> AnySpec:
        try:
            if text.startswith("@"):
                with open(text[1:], encoding="utf-8") as file:
                    text = file.read()
            return model.model_validate_json(text)
        except (OSError, ValidationError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    arguments.add_argument("--spec", type=read, required=True, help=f"JSON, or @FILE: {', '.join(model.model_fields)}")


def run(main: Callable[[], None]) -> None:
    """Runs a program; a UserError becomes one message on standard error and exit code 1."""
    stop_with_supervisor()
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
