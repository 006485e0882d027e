"""Writes the table of legacy keysyms and their characters from X11's keysymdef.h.

usage: keysyms.py keysymdef.h out.h
Only exact pairs are taken; the header puts the inexact ones in parentheses.
"""
import re
import sys

LINE = re.compile(r'#define XK_\w+\s+0x([0-9a-f]+)\s+/\* U\+([0-9A-Fa-f]{4,6}) ')


def main():
    pairs = {}
    with open(sys.argv[1], encoding='utf-8') as f:
        for line in f:
            m = LINE.match(line)
            if m:
                keysym, char = int(m[1], 16), int(m[2], 16)
                if keysym < 0x01000000:
                    pairs.setdefault(keysym, char)
    with open(sys.argv[2], 'w', encoding='utf-8') as f:
        for keysym in sorted(pairs):
            f.write('{ 0x%04x, 0x%04x },\n' % (keysym, pairs[keysym]))


main()
