"""`python -m pcapreport`."""

from pcapreport.cli import main

main()
