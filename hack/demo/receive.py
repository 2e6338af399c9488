"""Writes a gzip stream from standard input to a file, leaving holes where there are only zeros."""

import gzip
import os
import sys
from pathlib import Path

target = Path(sys.argv[1])
part = target.with_name(target.name + ".part")
size = 0
with gzip.GzipFile(fileobj=sys.stdin.buffer) as source, part.open("wb") as out:
    while block := source.read(1 << 20):
        if block.count(0) == len(block):
            out.seek(len(block), os.SEEK_CUR)
        else:
            out.write(block)
        size += len(block)
    out.truncate(size)
part.replace(target)
