"""Convert a base model in a GGUF file, which a Python package may carry, into a folder in Hugging Face format."""

from fofg import cli
from fofg.config.base_model import GGUF


def main() -> None:
    arguments = cli.parser(__doc__)
    cli.add_spec(arguments, GGUF)
    arguments.add_argument("--output", required=True, metavar="FOLDER", help="model folder to write")
    options = arguments.parse_args()
    from fofg.models.gguf import convert

    convert(options.spec, options.output)


if __name__ == "__main__":
    cli.run(main)
