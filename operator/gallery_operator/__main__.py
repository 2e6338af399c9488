"""``python -m gallery_operator``."""

import sys

from gallery_operator.cli import main

if __name__ == "__main__":
    sys.exit(main())
