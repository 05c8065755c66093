"""The one error that means "you can mend this"; it knows nothing of where it is shown."""


class InputError(ValueError):
    """Something the user gave can't be used. The message says what was given, what is allowed and what to do.

    The command line prints the message alone and exits with 2; everything else that is raised is our own fault.
    """
