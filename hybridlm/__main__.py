"""`python -m hybridlm` is the command line of `hybridlm.cli`."""

import sys

from hybridlm.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
