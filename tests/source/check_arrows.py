#!/usr/bin/env python3
"""The include arrows of docs/architecture.md: a folder includes only what it may know."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# folder: what it may include beside itself. "proto/x" stands for one core; a core may use another's
# message codec, which is why those that do are named one by one.
MAY = {
    "base": set(),
    "io": {"base"},
    "proto/stun": {"base"},
    "proto/turn": {"base", "proto/stun"},
    "proto/ice": {"base", "proto/stun"},
    "proto/mdns": {"base"},
    "proto/sdp": {"base", "proto/ice"},
    "proto/dtls": {"base"},
    "proto/sctp": {"base"},
    "proto/dcep": {"base"},
    "proto/rtp": {"base"},
    "proto/proxy2": {"base"},
    "proto/dhcp": {"base"},
    "proto/http": {"base"},
    "proto/ws": {"base", "proto/http"},
    "proto/signalr": {"base", "proto/http"},
    "peer": {"base", "io", "proto/*"},
    "monitor": {"base", "io", "proto/http"},
    "relay": {"base", "io", "proto/*", "monitor"},
    "deploy": {"base"},
    "wayout": {"base", "io", "proto/*"},
    "modules": {"base", "io"},
    "policy": {"base"},
    "report": {"base", "policy"},
    "hub": {"base", "io", "proto/*", "hublink", "policy", "report", "deploy", "monitor"},
    "check": {"base", "io", "proto/*", "deploy", "hublink"},
    "hublink": {"base", "io", "proto/*", "peer", "policy", "wayout"},
    "client": {"base", "io", "proto/*", "hublink", "peer", "modules", "policy"},
    "cli": {"base", "io", "proto/*", "hublink", "peer", "modules", "policy", "report", "deploy", "check"},
    "demo": {"base", "io"},
}
FOLDERS = "|".join(sorted({name.split("/")[0] for name in MAY} | {"fairlead"}))
INCLUDE = re.compile(rf'^\s*#\s*include\s+[<"]((?:{FOLDERS})/[^">]+)[">]', re.M)


def folder_of(path):
    parts = pathlib.PurePosixPath(path).parts
    return "/".join(parts[:2]) if parts[0] == "proto" else parts[0]


def allowed(folder, target):
    may = MAY[folder]
    if target == folder or target in may or (target.startswith("proto/") and "proto/*" in may):
        return True
    # the public header of libfairlead is for those who link the library
    return target == "fairlead" and (folder == "peer" or "peer" in may)


def main():
    src = ROOT / "src"
    bad, seen = [], 0
    for path in sorted(src.rglob("*.[ch]")):
        rel = path.relative_to(src).as_posix()
        folder = folder_of(rel)
        if folder not in MAY:
            bad.append(f"src/{rel}: folder {folder} is not in the table of arrows")
            continue
        for target in INCLUDE.findall(path.read_text(encoding="utf-8")):
            seen += 1
            if not allowed(folder, folder_of(target)):
                bad.append(f"src/{rel}: {folder} may not include {target}")
    print("\n".join(bad) if bad else f"{seen} includes follow the arrows")
    return 1 if bad or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
