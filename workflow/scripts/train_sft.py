"""Supervised fine-tuning of a model on RFT data."""

import os

from fofg import cli
from fofg.stages import TrainSft

DESCRIPTION = """\
Fine-tunes a model on prompts and responses (paper §3.2), and writes the new model's folder with metrics.jsonl.

A killed run goes on from its last checkpoint under --state, and gives the weights of an uninterrupted one. SIGTERM: a checkpoint
is saved and the exit code is 1. On a GPU if there is one.
"""


def main() -> None:
    arguments = cli.parser(DESCRIPTION)
    cli.add_spec(arguments, TrainSft)
    arguments.add_argument("--model", required=True, metavar="FOLDER", help="model to start from, in Hugging Face format")
    arguments.add_argument("--train", required=True, metavar="PARQUET", help="examples: prompt (messages) and response")
    arguments.add_argument("--test", required=True, metavar="PARQUET", help="examples held back for the test loss; may be none")
    arguments.add_argument("--output", required=True, metavar="FOLDER", help="the new model")
    arguments.add_argument("--state", required=True, metavar="FOLDER", help="working state, removed at the end")
    arguments.add_argument(
        "--micro-batch-size",
        type=_count,
        default=4,
        metavar="N",
        help="sequences a CPU thread or GPU works on at once (default: 4)",
    )
    arguments.add_argument("--save-every", type=_count, default=20, metavar="N", help="steps between checkpoints (default: 20)")
    arguments.add_argument("--log-every", type=_count, default=1, metavar="N", help="steps a line of metrics.jsonl (default: 1)")
    arguments.add_argument("--tensorboard", metavar="FOLDER", help="event files (default: OUTPUT/tensorboard)")
    arguments.add_argument("--threads", type=_count, metavar="N", help="CPU threads (default: as the environment says)")
    arguments.add_argument("--pass-on", action="store_true", help="no example to train on is no error: the model goes on unchanged")
    options = arguments.parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    from fofg.training import sft_trl

    sft_trl.train(
        options.spec,
        options.model,
        options.train,
        options.test,
        options.output,
        options.state,
        options.micro_batch_size,
        options.save_every,
        options.log_every,
        options.tensorboard,
        options.threads,
        options.pass_on,
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    cli.run(main)
