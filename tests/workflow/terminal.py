"""A program on a terminal, as a user runs it."""

import fcntl
import os
import pty
import re
import signal
import struct
import termios
import threading
from pathlib import Path

CTRL_C = b"\x03"


class Terminal:
    """A program that runs on a pseudo-terminal; ``written``: all that it has written."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]):
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as on any terminal, also if the tests run under nohup
            os.nice(5)  # on a busy machine, the test that watches it gets a core before its work is done
            os.execve(command[0], command, environment | {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"})
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.written = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def press(self, key: bytes) -> None:
        os.write(self._terminal, key)

    def running(self) -> bool:
        return self._reader.is_alive()

    def wait(self) -> int:
        """Return the exit code."""
        self._reader.join()
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def last_lines(self) -> list[str]:
        """Return the lines that were written after the bars were removed."""
        text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", self.written.decode().rpartition("\x1b[2K")[2])
        return [line.rstrip() for line in text.splitlines() if line.strip()]

    def _read(self) -> None:
        while True:
            try:
                written = os.read(self._terminal, 1 << 16)
            except OSError:  # the program has exited
                return
            if not written:
                return
            self.written += written
