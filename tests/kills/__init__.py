"""SIGKILL at the writes of every command: typed again, it leaves the same files."""
