"""What EXT4_IOC_SHUTDOWN may do to a synced write that is under way: root, loop devices and 64 MiB are needed.

    python3 tests/spec/shutdown.py FOLDER SECONDS

A thread writes block after block and counts those whose sync returned, while the file system is shut down. After a
remount the blocks are counted that are there. A real power cut is the moment when the ioctl begins: nothing returns after it.
"""
import fcntl
import mmap
import os
import random
import struct
import subprocess
import sys
import threading
import time

SHUTDOWN, WITHOUT_JOURNAL = 0x8004587D, struct.pack("<I", 2)
BLOCK, SIZE = 4096, 8 << 20


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def attempt(folder, direct, filled):
    """Blocks whose sync had returned before the ioctl began, those in all, and those that are there."""
    image, mount = folder + "/image", folder + "/mount"
    os.makedirs(mount, exist_ok=True)
    run("truncate", "-s", "0", image)
    run("truncate", "-s", "64M", image)
    run("mkfs.ext4", "-q", "-F", image)
    run("mount", "-o", "loop", image, mount)
    name = mount + "/file"
    file = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
    os.posix_fallocate(file, 0, SIZE)
    if filled:
        os.pwrite(file, bytes(SIZE), 0)
    os.fsync(file)
    os.close(file)
    root = os.open(mount, os.O_RDONLY)
    os.fsync(root)
    file = os.open(name, os.O_RDWR | (os.O_DIRECT | os.O_DSYNC if direct else 0))
    synced = [0]

    def write():
        block = mmap.mmap(-1, BLOCK)
        try:
            for number in range(SIZE // BLOCK):
                block[:8] = struct.pack("<Q", number + 1)
                os.pwrite(file, block, number * BLOCK)
                if not direct:
                    os.fdatasync(file)
                synced[0] = number + 1
        except OSError:
            pass  # The file system is gone.

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(random.uniform(0.002, 0.05))
    then = synced[0]
    fcntl.ioctl(root, SHUTDOWN, WITHOUT_JOURNAL)
    writer.join()
    os.close(file)
    os.close(root)
    run("umount", mount)
    run("mount", "-o", "loop", image, mount)
    file, found = os.open(name, os.O_RDONLY), 0
    while found < SIZE // BLOCK and os.pread(file, 8, found * BLOCK) == struct.pack("<Q", found + 1):
        found += 1
    os.close(file)
    run("umount", mount)
    return then, synced[0], found


def main(folder, seconds):
    counts, until = {}, time.time() + seconds
    while time.time() < until:
        for direct in (True, False):
            for filled in (True, False):
                then, in_all, found = attempt(folder, direct, filled)
                key = ("direct" if direct else "buffered", "filled" if filled else "unwritten")
                rounds, after, before = counts.get(key, (0, 0, 0))
                counts[key] = (rounds + 1, after + (then <= found < in_all), before + (found < then))
    for key, (rounds, after, before) in counts.items():
        print(*key, f"{rounds} rounds: {after} lost a block whose sync returned during or behind the ioctl, {before} one before it")


main(sys.argv[1], float(sys.argv[2]))
