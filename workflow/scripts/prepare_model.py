"""Prepare a model from elsewhere for the stages that read it."""

from fofg import cli

DESCRIPTION = """\
Find a model (spec: model, a folder or a name on the hub), check it, and write its prepared folder.

The weights are links to the model's own. The chat template keeps answers as they are; with plain_prompt, it adds no system text.
"""


def main() -> None:
    arguments = cli.parser(DESCRIPTION)
    cli.add_spec(arguments, model=str, plain_prompt=bool)
    arguments.add_argument("--output", required=True, metavar="FOLDER", help="model folder to write")
    arguments.add_argument("--model", metavar="FOLDER", help="the model, where spec.model is its digest")
    options = arguments.parse_args()
    from fofg import models

    spec = options.spec
    models.prepare(options.model or spec.model, options.output, spec.plain_prompt, spec.code)


if __name__ == "__main__":
    cli.run(main)
