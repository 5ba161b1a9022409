"""Where the process starts, and the only place that reads its environment."""

from __future__ import annotations

import os
import sys

from pipeline.cli.entry import run


def main() -> int:
    """Run the command line and return its exit status."""
    return run(sys.argv[1:], dict(os.environ))


if __name__ == "__main__":
    sys.exit(main())
