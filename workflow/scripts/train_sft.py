"""Fine-tune a model on RFT data."""

from fofg import cli
from fofg.specs import SFTSpec

DESCRIPTION = """\
Fine-tune a model on prompts and responses (paper §3.2), and write the new model's folder with metrics.jsonl.

A killed run resumes from its last checkpoint under --state; engine torch gives the weights of an uninterrupted run. On SIGTERM, or
SIGURG before a time limit, it saves a checkpoint after the current step and exits with code 1. Uses a GPU if there
is one.
"""


def main() -> None:
    arguments = cli.parser(DESCRIPTION)
    cli.add_spec(arguments, SFTSpec)
    cli.add_training(arguments)
    arguments.add_argument("--train", required=True, metavar="PARQUET", help="examples: prompt (messages) and response")
    arguments.add_argument("--test", required=True, metavar="PARQUET", help="examples held back for the test loss; may be none")
    arguments.add_argument("--log-every", type=cli.count, default=1, metavar="N", help="steps a line of metrics.jsonl (default: 1)")
    arguments.add_argument(
        "--allow-empty", action="store_true", help="write the model unchanged if there is no example to train on"
    )
    options = arguments.parse_args()
    cli.use_gpus(options)
    from fofg.training import engines

    engine = options.spec.sft.engine
    engines.find("sft", engine)(
        spec=options.spec,
        model=options.model,
        train_file=options.train,
        test_file=options.test,
        output=options.output,
        state=cli.state_folder(options),
        **engines.how(options, engine),
        save_every=options.save_every,
        log_every=options.log_every,
        trackers=options.trackers,
        allow_empty=options.allow_empty,
    )


if __name__ == "__main__":
    cli.run(main, pandas=True)
