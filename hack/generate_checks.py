#!/usr/bin/env python3
"""Writes docs/checks.md from the catalogue of checks.

hack/generate_checks.py            write it
hack/generate_checks.py --check    write nothing; exit 1 when it is stale
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = "docs/checks.md"


def check_files() -> dict[str, str]:
    """Return the generated files by path below the checkout."""
    from gallery_operator.prerequisites.catalogue import rows
    from gallery_operator.prerequisites.render import catalogue_markdown

    return {PAGE: catalogue_markdown(rows())}


def main() -> int:
    """Generate or compare; return the exit code."""
    parser = argparse.ArgumentParser(description="Write docs/checks.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the file is stale")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT / "operator"))
    for path, text in check_files().items():
        file = ROOT / path
        if file.exists() and file.read_text(encoding="utf-8") == text:
            continue
        if arguments.check:
            print(f"stale: {path} (run hack/generate_checks.py)", file=sys.stderr)
            return 1
        file.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
