"""A stand-in for ``nvidia-smi``."""

from pathlib import Path

#: What the program prints for ``--query-gpu=index,uuid --format=csv,noheader``.
UUID = "GPU-{0:08x}-1111-2222-3333-444444444444"
PROGRAM = """#!/bin/sh
[ "$*" = "--query-gpu=index,uuid --format=csv,noheader" ] || exit 2
cat <<END
{lines}
END
"""


def install(folder: Path, gpus: int) -> Path:
    """Write an ``nvidia-smi`` that lists ``gpus`` GPUs. Return its folder, for the PATH."""
    folder.mkdir(exist_ok=True)
    program = folder / "nvidia-smi"
    program.write_text(PROGRAM.format(lines="\n".join(f"{index}, {UUID.format(index)}" for index in range(gpus))))
    program.chmod(0o755)
    return folder
