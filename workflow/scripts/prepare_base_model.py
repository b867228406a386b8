"""The base model as all stages use it: weights linked, chat template plain."""

from pathlib import Path

from fofg import cli
from fofg.errors import UserError
from fofg.stages import PrepareBaseModel

DESCRIPTION = """\
Finds the base model (spec: base_model, a folder or a name on the hub), checks it, and writes its folder anew.

The weights are links to the model's own. With plain_prompt, the chat template adds no system text.
"""


def main() -> None:
    arguments = cli.parser(DESCRIPTION)
    cli.add_spec(arguments, PrepareBaseModel)
    arguments.add_argument("--output", required=True, metavar="FOLDER", help="model folder to write")
    arguments.add_argument("--model-files", nargs="*", default=[], metavar="FILE", help="files of the model that must exist")
    options = arguments.parse_args()
    for path in options.model_files:
        if not Path(path).exists():
            raise UserError(f"{path}: no such file; base_model: {options.spec.base_model} lacks it")
    from fofg import models

    models.prepare(options.spec, options.output)


if __name__ == "__main__":
    cli.run(main)
