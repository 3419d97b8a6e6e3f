"""Trees of small files that look like a source tree to whatever reads, hashes and compresses them."""

import functools
import itertools
import os
import random

# Of all files: pictures, archives, compiled things.
INCOMPRESSIBLE = 0.1
FILES_IN_A_FOLDER = 16
# Bytes; with this spread the mean is about 3 KB, the median 1.8 KB.
LOG_MEAN, LOG_SPREAD, LARGEST = 7.5, 1.0, 200_000


@functools.cache
def code():
    """Lines of code, near enough: a few words are in most of them, and gzip makes about a quarter of them."""
    chance = random.Random(7)
    letters = "etaoinsrhldcumfpgwybvk"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 10))) for _ in range(2000)]
    often = list(itertools.accumulate(1 / (rank + 2) ** 1.2 for rank in range(len(words))))
    marks = [" ", " ", " ", ".", "(", ")", ", ", " = ", ": ", " { "]

    def line():
        count = chance.randint(1, 7)
        picked = zip(chance.choices(words, cum_weights=often, k=count), chance.choices(marks, k=count))
        indent = "    " * chance.choice((0, 1, 1, 2, 2, 3))
        return indent + "".join(word + mark for word, mark in picked).rstrip() + "\n"

    # So many that no compressor's window holds them all: what it gains, it gains within a file and from its neighbours.
    return [line().encode() for _ in range(200_000)]


def grow(folder, files, seed):
    """Makes a folder with so many files, the same for the same seed; returns how many bytes they hold."""
    chance, total = random.Random(seed), 0
    lines = code()
    mean = sum(map(len, lines)) / len(lines)
    for index in range(files):
        if index % FILES_IN_A_FOLDER == 0:
            number = index // FILES_IN_A_FOLDER
            here = folder / f"part{number % 7}" / f"room{number % 61}" / f"shelf{number}"
            here.mkdir(parents=True, exist_ok=True)
        size = min(LARGEST, int(chance.lognormvariate(LOG_MEAN, LOG_SPREAD)))
        if chance.random() < INCOMPRESSIBLE:
            name, content = f"picture{index}.bin", chance.randbytes(size)
        else:
            name, content = f"source{index}.txt", b"".join(chance.choices(lines, k=max(1, int(size / mean))))
        (here / name).write_bytes(content)
        total += len(content)
    # What the disk still has to take shall not be in anybody's time.
    os.sync()
    return total
