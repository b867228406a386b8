"""What all programs share: common arguments and error messages."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from pydantic import Field, ValidationError, create_model

from fofg.config import Section, VerlConfig
from fofg.config.compute import Tracker
from fofg.data.files import leave_out_pandas
from fofg.errors import UserError, explain
from fofg.runtime.processes import exit_with_supervisor
from fofg.runtime.signals import CTRL_C, record_time_limit


def parser(description: str) -> argparse.ArgumentParser:
    """Create a parser whose help shows the description as written."""
    return argparse.ArgumentParser(
        description=f"{description}\n\nUsable without Snakemake; a rule runs it with the same arguments.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_spec(arguments: argparse.ArgumentParser, section: type[Section] = Section, **fields: Any) -> None:
    """Add ``--spec``: JSON text, or @FILE, with the keys of a section of the configuration and of ``fields`` (name -> type).

    ``code``, the number of the code's version, is one of its keys, and so is ``task_source``, a digest of the user's own task.
    """
    keys: dict[str, Any] = {name: (kind, ...) for name, kind in fields.items()}
    source: Any = (str | None, Field(None, exclude_if=lambda source: source is None))
    model = create_model("Spec", __base__=section, code=(int, 0), task_source=source, **keys)

    def read(text: str) -> Section:
        try:
            if text.startswith("@"):
                text = Path(text[1:]).read_text(encoding="utf-8")
            return model.model_validate_json(text)
        except (OSError, ValidationError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    arguments.add_argument("--spec", type=read, required=True, help=f"JSON, or @FILE: {', '.join(model.model_fields)}")


class NamedFiles(argparse.Action):
    """Collect ``NAME=FILE`` arguments into a dictionary. A name that is itself a path with an equals sign names its own file."""

    def __call__(self, parser: argparse.ArgumentParser, namespace, values, option_string=None) -> None:
        files: dict[str, str] = {}
        for text in values:
            name, _, path = text.partition("=")
            if text == f"{text[: len(text) // 2]}={text[: len(text) // 2]}":
                name = path = text[: len(text) // 2]
            if not (name and path):
                parser.error(f"{option_string}: {text!r} is not of the form {self.metavar}")
            if name in files:
                parser.error(f"{option_string}: {name} is named twice")
            files[name] = path
        setattr(namespace, self.dest, files)


def add_files(arguments: argparse.ArgumentParser, option: str, metavar: str, meaning: str) -> None:
    """Add a required option of ``NAME=FILE`` arguments, parsed into a dictionary."""
    arguments.add_argument(option, required=True, nargs="+", action=NamedFiles, metavar=metavar, help=meaning)


def count(text: str) -> int:
    """Parse a whole number above 0, as an argument's type."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def add_training(arguments: argparse.ArgumentParser) -> None:
    """Add the arguments of all training programs: folders of models and state, speed and memory."""
    arguments.add_argument("--model", required=True, metavar="FOLDER", help="model to start from, in Hugging Face format")
    arguments.add_argument("--output", required=True, metavar="FOLDER", help="the new model")
    add_state(arguments)
    for name, meaning in (
        ("micro-batch-size", "sequences that a CPU thread or GPU processes at once (engine torch)"),
        ("save-every", "steps between checkpoints"),
    ):
        arguments.add_argument(f"--{name}", type=count, required=True, metavar="N", help=meaning)
    arguments.add_argument(
        "--max-save-share", type=float, default=1.0, metavar="SHARE", help="of the time, for checkpoints (default: 1, no limit)"
    )
    arguments.add_argument(
        "--trackers",
        nargs="+",
        default=[],
        choices=get_args(Tracker),
        help="also log the run to these, under OUTPUT (default: none)",
    )
    arguments.add_argument("--one-file", action="store_true", help="weights in one file, even if those of --model are in shards")
    arguments.add_argument("--threads", type=count, metavar="N", help="CPU threads (default: as the environment says)")
    add_gpus(arguments)
    arguments.add_argument(
        "--nodes", type=count, default=1, metavar="N", help="nodes, each with --gpus GPUs (engine verl; default: 1)"
    )
    arguments.add_argument(
        "--verl",
        type=VerlConfig.model_validate_json,
        metavar="JSON",
        help="settings of engine verl: " + ", ".join(VerlConfig.model_fields),
    )


def add_state(arguments: argparse.ArgumentParser) -> None:
    """Add ``--state``; ``state_folder`` has its default."""
    arguments.add_argument(
        "--state", metavar="FOLDER", help="state to resume from, removed at the end (default: .resume/ beside OUTPUT)"
    )


def state_folder(options: argparse.Namespace) -> str:
    """Return the folder of the state to resume from: ``--state``, or ``.resume/NAME`` beside the output."""
    output = Path(options.output)
    return options.state or str(output.parent / ".resume" / output.stem)


def add_gpus(arguments: argparse.ArgumentParser) -> None:
    """Add ``--gpus``."""
    arguments.add_argument(
        "--gpus",
        type=int,
        default=0,
        metavar="N",
        help="GPUs to reserve, waiting for busy ones (default: 0, share one, where there is any)",
    )


def use_gpus(options: argparse.Namespace) -> None:
    """Reserve the requested GPUs, or share one if none are. Call before importing torch."""
    from fofg.runtime import gpus  # training programs alone call this

    if not options.gpus:
        gpus.share()
    elif options.nodes == 1:  # on several nodes, SLURM gives a job its GPUs
        gpus.claim(options.gpus, key="training.gpus")


def run(main: Callable[[], None], pandas: bool = False) -> None:
    """Run a program; a UserError, a full disk and the like become one message on standard error and exit code 1.

    ``pandas``: whether the libraries that the program runs may use it.
    """
    exit_with_supervisor()
    record_time_limit()
    if not pandas:
        leave_out_pandas()
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(f"error: stopped {CTRL_C}; run the same command to resume")
    except Exception as error:
        if not (message := explain(error)):
            raise
        sys.exit(f"error: {message}")
