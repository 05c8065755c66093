"""The one error that means "you can mend this"; it knows nothing of where it is shown."""

import errno
import re

# No file name is longer, so what is was copied from a file's content: a number of thousands of digits, say.
_LONG_WORD = re.compile(r"\w{300,}")
_SHOWN = 40
# Error numbers of a disk that takes no more: full, over its quota, or with a limit on the size of a file.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class InputError(ValueError):
    """Something the user gave can't be used. The message says what was given, what is allowed and what to do.

    The command line prints the message alone and exits with 2; everything else that is raised is our own fault.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(_LONG_WORD.sub(_shortened, message))


def _shortened(word: re.Match[str]) -> str:
    return f"{word[0][:_SHOWN]}... ({len(word[0])} characters)"


def worker_died(what: str, ways_out: str, how: str = "") -> InputError:
    """Of a process that works for another one and was killed, or ended, before its work was done.

    `how` as far as the system says it; hardly ever is the cause in the process itself.
    """
    died = "died" + (f" ({how})" if how else "")
    return InputError(
        f"{what} {died}; most likely memory ran out (the system then kills a process), or /dev/shm is too small or "
        f"full; {ways_out}"
    )
