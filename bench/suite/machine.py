"""machine — processes of ours, and what the system says about time and memory

Invariants:     (1) all that is started here is ended here, by its pid, also on Ctrl-C
"""
import contextlib
import ctypes
import os
import pathlib
import re
import resource
import signal
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGESIZE")
REAL_TIME_PRIORITY = 10
CPUIDLE = pathlib.Path("/sys/devices/system/cpu/cpuidle")


class CannotRun(Exception):
    """Something needed is missing; the text says what."""


# --- processes ------------------------------------------------------------------------------

def bind_child(cpus, policy=None):
    """In the child: its cores, an end with its parent, and who goes first: "first" before all
    others, "last" only when nobody else wants to.
    """
    def prepare():
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
        os.sched_setaffinity(0, set(cpus))
        if policy == "first":
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REAL_TIME_PRIORITY))
        elif policy == "last":
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    return prepare


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def files_limit():
    """How many sockets one process may have; some are left for its own files."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100


# --- time -----------------------------------------------------------------------------------

def busy_seconds():
    """Time all cores spent on anything, theft by the host included."""
    words = pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, words)
    return (user + nice + system + irq + softirq + steal) / TICK


def server_times(pid):
    """Seconds of a process: exact by its clock, and as user and kernel by ticks."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    cpu = time.clock_gettime((~pid << 3) | 2)       # CPUCLOCK_SCHED of that process
    return {"cpu": cpu, "user": int(fields[11]) / TICK, "system": int(fields[12]) / TICK}


def own_seconds(pids):
    """CPU time of these processes, of this program, and of the loads that have ended."""
    total = sum(server_times(pid)["cpu"] for pid in pids)
    for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


class Foreign:
    """What others use of the cores between two moments."""

    def __init__(self, *pids):
        self.pids = pids
        self.begin, self.busy, self.own = time.monotonic(), busy_seconds(), own_seconds(pids)

    def share(self):
        foreign = (busy_seconds() - self.busy) - (own_seconds(self.pids) - self.own)
        return max(0.0, foreign / (time.monotonic() - self.begin) / os.cpu_count())


# --- memory ---------------------------------------------------------------------------------

def status_kb(pid, key):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1))


def kernel_kb():
    """Slab and TCP buffers of the whole system."""
    meminfo = pathlib.Path("/proc/meminfo").read_text()
    sockstat = pathlib.Path("/proc/net/sockstat").read_text()
    slab = re.search(r"^Slab:\s+(\d+)", meminfo, re.M)
    tcp = re.search(r"^TCP:.* mem (\d+)", sockstat, re.M)
    return int(slab.group(1)) + int(tcp.group(1)) * PAGE // 1024


def memory(pid):
    return {"rss_kb": status_kb(pid, "VmRSS"), "anon_kb": status_kb(pid, "RssAnon"),
            "kernel_kb": kernel_kb()}


def per_session(before, held, sessions):
    """Growth from before the first session; the kernel's is of both ends."""
    return {key.replace("_kb", "_per_session"): (held[key] - before[key]) / max(1, sessions)
            for key in before}


# --- what it is -----------------------------------------------------------------------------

def describe():
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {"kernel": os.uname().release, "cores": os.cpu_count(),
            "cpu": cpu.group(1) if cpu else "unknown", "idle": idle_driver(),
            "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * PAGE / 2**30)}


def idle_driver():
    """How the processor sleeps: driver, governor, and the states it may choose."""
    try:
        driver = (CPUIDLE / "current_driver").read_text().strip()
        governor = (CPUIDLE / "current_governor").read_text().strip()
        states = sorted(CPUIDLE.parent.glob("cpu0/cpuidle/state*/name"))
    except OSError:
        return "unknown"
    return f"{driver}/{governor}: " + ", ".join(s.read_text().strip() for s in states)


@contextlib.contextmanager
def idle_states(awake):
    """With `awake`, no sleep states of the processor while the file is open."""
    if not awake:
        yield
        return
    with open("/dev/cpu_dma_latency", "wb", buffering=0) as file:
        file.write((0).to_bytes(4, "little"))
        yield
