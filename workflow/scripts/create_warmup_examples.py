"""Create worked examples with definitions visible: prompts and right responses, for the warm-up before Stage 1."""

from fofg import cli
from fofg.specs import WarmupSpec


def main() -> None:
    parser = cli.parser(__doc__)
    cli.add_spec(parser, WarmupSpec)
    parser.add_argument("--train", required=True, metavar="PARQUET", help="examples to train on")
    parser.add_argument("--test", required=True, metavar="PARQUET", help="examples for the loss curve")
    arguments = parser.parse_args()
    from fofg.data import warmup

    warmup.write(arguments.spec, arguments.train, arguments.test)


if __name__ == "__main__":
    cli.run(main)
