"""`python -m sever` is `sever`."""

from sever.cli import main

main()
