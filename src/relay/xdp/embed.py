#!/usr/bin/env python3
"""embed.py NAME INPUT OUTPUT: a file as a C array, const unsigned char NAME[] and NAME_len."""

import pathlib
import sys


def main(name, source, target):
    data = pathlib.Path(source).read_bytes()
    rows = (", ".join(f"0x{b:02x}" for b in data[i:i + 16]) for i in range(0, len(data), 16))
    text = f"static const unsigned char {name}[] __attribute__((aligned(8))) = {{\n\t"
    text += ",\n\t".join(rows) + f"\n}};\nstatic const unsigned long {name}_len = sizeof({name});\n"
    pathlib.Path(target).write_text(text, encoding="ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
