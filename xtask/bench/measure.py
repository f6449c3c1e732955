"""Runs a command and writes down what it took: wall and CPU seconds, peak memory. Linux and macOS.

CPU is what the kernel counted for the process and for all that it waited for. `rss_bytes` is the peak of the largest
single process. `tree_rss_bytes` is the largest sum over the process and its descendants at one moment, looked at every
20 ms; where the system has no /proc it is left out.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time


def tree_rss(pid):
    """Bytes that a process and its descendants hold in memory now."""
    total, left = 0, [pid]
    while left:
        pid = left.pop()
        try:
            with open(f"/proc/{pid}/statm") as file:
                total += int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/children") as file:
                    left += [int(child) for child in file.read().split()]
        except OSError:
            pass  # it has ended meanwhile
    return total


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--stdout", required=True, help="file for what the command prints")
    arguments.add_argument("--stderr", required=True)
    arguments.add_argument("command", nargs=argparse.REMAINDER)
    arguments = arguments.parse_args()
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    peak, ended = 0, threading.Event()

    def watch(pid):
        nonlocal peak
        while not ended.wait(0.02):
            peak = max(peak, tree_rss(pid))

    load = os.getloadavg()[0]
    with open(arguments.stdout, "wb") as stdout, open(arguments.stderr, "wb") as stderr:
        began = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
        watcher = threading.Thread(target=watch, args=(process.pid,), daemon=True)
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        watcher.join()
    unit = 1 if sys.platform == "darwin" else 1024
    report = {
        "exit": process.returncode,
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "rss_bytes": usage.ru_maxrss * unit,
        "load": load,
    }
    if os.path.isdir("/proc/self/task"):
        report["tree_rss_bytes"] = max(peak, usage.ru_maxrss * unit)
    print(json.dumps(report))


main()
