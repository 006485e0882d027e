"""Files to send, and what is in them."""

import hashlib


def write(path, size, seed=1):
    """Contents that compress and repeat badly, quickly made."""
    block = hashlib.shake_256(str(seed).encode()).digest(1 << 20)
    with open(path, "wb") as f:
        for i in range(0, size, len(block)):
            f.write((i.to_bytes(8, "big") + block)[:min(len(block), size - i)])
    return path


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").digest() if hasattr(hashlib, "file_digest") else \
            hashlib.sha256(f.read()).digest()
