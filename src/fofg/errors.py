"""Errors that programs turn into one sentence and exit code 1: the user's, and those of a full disk or a locked folder."""

import errno
import os

_SPACE = "free some space, or set run_dir to a folder on another disk, and run the same command again"
_RIGHTS = "change its permissions, or set run_dir to a folder that you may write to"
#: Error number of the machine -> cure. Other errors are bugs and keep their traceback.
_FULL = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "the limit on the size of files (ulimit -f) is too low; raise it and run the same command again",
}
#: The same for errors that are the machine's only if they name a file.
_REFUSED = {
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
    errno.ENOTDIR: "a file stands where a folder is needed; move it away",
    errno.ENAMETOOLONG: "set run_dir to a shorter path",
}


class UserError(Exception):
    """An error the user can fix. The message names the key or file and suggests the fix."""


def explain(error: BaseException) -> str | None:
    """Return one sentence for a full disk, missing permissions and the like; None for other errors."""
    path = getattr(error, "filename2", None) or getattr(error, "filename", None)
    if problem := _full(error):
        return f"{path}: {problem}" if path else problem
    if isinstance(error, OSError) and path:
        number = error.errno
        if number == errno.EEXIST and error.filename2 is None and os.path.isfile(path):
            number = errno.ENOTDIR  # so says mkdir about a file in place of the folder itself
        if number in _REFUSED:
            return f"{path}: {os.strerror(number)}; {_REFUSED[number]}"
    return None


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def names_a_file(error: BaseException) -> bool:
    """Return whether an error is about a file that it should name: any OSError, and a library's error about a full disk."""
    return isinstance(error, OSError) or _full(error) is not None


def _full(error: BaseException) -> str | None:
    """Return problem and cure if a file did not fit. Libraries in other languages give the system's text, not its number."""
    number = error.errno if isinstance(error, OSError) else None
    if number not in _FULL:
        number = next((number for number in _FULL if os.strerror(number) in str(error)), None)
    if number is not None:
        return f"{os.strerror(number)}; {_FULL[number]}"
    # torch says only where in its code a write failed
    torn = isinstance(error, RuntimeError) and "unexpected pos" in str(error)
    return f"could not be written whole; {_SPACE}" if torn else None
