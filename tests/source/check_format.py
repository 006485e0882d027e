#!/usr/bin/env python3
"""clang-format leaves every C file as it is; no file or function is longer than a sitting or a screen."""

import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE_LINES_MAX = 900
FUNCTION_LINES_MAX = 80


def c_files():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.c", "*.h"], cwd=ROOT, capture_output=True, text=True)
    return [ROOT / line for line in out.stdout.splitlines() if (ROOT / line).exists()]


def long_functions(path):
    start = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            if number - start > FUNCTION_LINES_MAX:
                yield f"{path.relative_to(ROOT)}:{start}: a function of {number - start} lines"
            start = None


def main():
    files, bad = c_files(), []
    for path in files:
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > FILE_LINES_MAX:
            bad.append(f"{path.relative_to(ROOT)}: {lines} lines")
        bad += long_functions(path)
    if shutil.which("clang-format") is None:
        print("skipped: clang-format is not installed")
        return 77
    run = subprocess.run(["clang-format", "--dry-run", "-Werror", *map(str, files)], capture_output=True, text=True)
    bad += sorted(set(re.findall(r"^(.*?):\d+:\d+: error", run.stderr, re.M)))
    print("\n".join(bad) if bad else f"{len(files)} files are in format")
    return 1 if bad or not files else 0


if __name__ == "__main__":
    sys.exit(main())
