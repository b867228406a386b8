"""Pre-train the embedded base model on a GPU, or slowly on a CPU; run the same command again to resume."""

from pathlib import Path

from fofg import cli
from fofg.config import TinyBase


def main() -> None:
    arguments = cli.parser(__doc__)
    cli.add_spec(arguments, tiny_base=TinyBase, template=str)
    arguments.add_argument("--output", type=Path, required=True, help="the model's folder, in Hugging Face format")
    cli.add_state(arguments)
    arguments.add_argument("--workers", type=int, default=1, help="processes that make the corpus (default 1)")
    arguments.add_argument("--save-every", type=int, default=500, help="steps between checkpoints (default 500)")
    given = arguments.parse_args()
    from fofg.tiny_base.build import build

    spec, state = given.spec, Path(cli.state_folder(given))
    build(spec.tiny_base, spec.template, given.output, state, given.workers, given.save_every, spec.code)


if __name__ == "__main__":
    cli.run(main, pandas=True)
