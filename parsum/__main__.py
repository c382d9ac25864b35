"""``python -m parsum`` is the command ``parsum``."""

import sys

from parsum.cli import main

if __name__ == "__main__":
    sys.exit(main())
