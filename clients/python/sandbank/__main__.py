"""`python -m sandbank` is `sandbank`."""

from sandbank.cli import main

main()
