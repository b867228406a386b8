"""Run Snakemake with SLURM's queue polled every two seconds. The plugin polls less and less often while nothing changes."""

import asyncio
import signal

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor


async def sleep(executor: RemoteExecutor) -> None:
    await asyncio.sleep(2)


if __name__ == "__main__":
    RemoteExecutor.sleep = sleep
    # A test sends Ctrl-C, which programs ignore that a shell started in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
