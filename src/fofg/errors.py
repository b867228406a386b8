"""The one exception that programs turn into a plain message and exit code 1."""


class UserError(Exception):
    """Something the user can mend: the message names the key or the file, and the cure."""
