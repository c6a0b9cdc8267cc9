"""Where numbers were measured: date, commit, CPU."""
import datetime
import subprocess

from measure import launch

FLAGS_THAT_MATTER = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def cpu_info(key):
    with open("/proc/cpuinfo") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return "unknown"


def cpu_count():
    with open("/proc/cpuinfo") as file:
        return sum(line.startswith("processor") for line in file)


def commit():
    """The commit of the tree, with a word where the tree differs from it."""
    git = lambda *words: subprocess.run(["git", "-C", launch.ROOT, *words], capture_output=True, text=True).stdout.strip()
    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if changed else "")


def facts():
    flags = cpu_info("flags").split()
    here = ", ".join(flag for flag in FLAGS_THAT_MATTER if flag in flags)
    return (f"{datetime.date.today()}, commit {commit()}, {cpu_count()} CPUs of {cpu_info('model name')} "
            f"(family {cpu_info('cpu family')}, model {cpu_info('model')}; {here}).")
