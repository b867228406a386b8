"""The one exception that programs turn into a plain message and exit code 1, and what a full disk or a locked folder has to say."""

import errno
import os

_SPACE = "free some space, or set run_dir to a folder on another disk, and run the same command again"
_RIGHTS = "change its permissions, or set run_dir to a folder that you may write to"
_KIND = "a file stands where a folder is needed, or a folder where a file is; move it away"
#: What to do about errors of the machine. Others are faults of the code and keep their traceback.
_CURES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "the limit on the size of files (ulimit -f) is too low; raise it and run the same command again",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
    errno.EEXIST: _KIND,
    errno.EISDIR: _KIND,
    errno.ENOTDIR: _KIND,
    errno.ENAMETOOLONG: "set run_dir to a shorter path",
}


class UserError(Exception):
    """Something the user can mend: the message names the key or the file, and the cure."""


def explain(error: BaseException, paths: str = "") -> str | None:
    """Return one sentence for a full disk, missing permissions and the like; None for other errors.

    ``paths``: what was written, if the error does not say. Libraries in other languages give the system's text, not its number.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number not in _CURES:
        number = next((number for number in _CURES if os.strerror(number) in str(error)), None)
    path = getattr(error, "filename2", None) or getattr(error, "filename", None) or paths or os.getcwd()
    if number is None:
        # torch tells only where in its code a write failed
        return f"{path}: could not be written whole; {_SPACE}" if "unexpected pos" in str(error) else None
    return f"{path}: {os.strerror(number)}; {_CURES[number]}"
