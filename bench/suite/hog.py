"""hog.py CPU SHARE PERIOD_MS SECONDS POLICY: takes a share of a core, and ends by itself

POLICY is "fair", as any program, or "first", before all that are fair.
"""
import os
import sys
import time


def main():
    cpu, share, period, seconds = (float(word) for word in sys.argv[1:5])
    os.sched_setaffinity(0, {int(cpu)})
    if sys.argv[5] == "first":
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    parent, begin = os.getppid(), time.monotonic()
    period /= 1000
    while time.monotonic() - begin < seconds and os.getppid() == parent:
        until = time.monotonic() + period * share
        while time.monotonic() < until:
            pass
        time.sleep(period * (1 - share))


main()
