#!/usr/bin/env python3
"""embed.py IN OUT NAME: a text file as a C string constant."""

import sys

text = open(sys.argv[1], encoding="utf-8").read()
with open(sys.argv[2], "w", encoding="utf-8") as out:
    out.write(f"static const char {sys.argv[3]}[] =\n")
    for line in text.splitlines():
        escaped = line.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
        out.write(f'\t"{escaped}\\n"\n')
    out.write(";\n")
