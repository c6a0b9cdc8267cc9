"""Two hosts on this machine: network namespaces joined by a veth pair with a token bucket at both ends. Needs root."""
import os
import shutil
import subprocess

from measure import launch

NAMESPACES = ("trireme-h0", "trireme-h1")
DEVICES = ("tri-v0", "tri-v1")
ADDRESSES = ("10.77.0.1", "10.77.0.2")
NETWORK = "10.77.0.0/24"


def inside(host, command):
    return ["ip", "netns", "exec", NAMESPACES[host], *command]


def check(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        launch.give_up(f"{' '.join(command)}: {done.stderr.strip()}")


def require_root():
    """Errors: ends this program where namespaces cannot be made."""
    if os.geteuid() != 0:
        launch.give_up("two network namespaces need root: run it as root")
    for tool, package in (("ip", "iproute2"), ("tc", "iproute2")):
        if not shutil.which(tool):
            launch.give_up(f"{tool} is missing: install {package}")


class TwoHosts:
    """The two namespaces while the `with` lasts; gone after it, after an error and after SIGINT, SIGTERM or SIGHUP."""

    def __init__(self, rate):
        self.rate = rate

    def __enter__(self):
        require_root()
        self._down()  # what a killed run left
        launch.exit_on_signals()
        try:
            self._up()
        except BaseException:
            self._down()
            raise
        return self

    def __exit__(self, *error):
        self._down()

    def _up(self):
        for namespace in NAMESPACES:
            check("ip", "netns", "add", namespace)
        check("ip", "link", "add", DEVICES[0], "netns", NAMESPACES[0], "type", "veth", "peer", "name", DEVICES[1], "netns",
              NAMESPACES[1])
        for host, (device, address) in enumerate(zip(DEVICES, ADDRESSES)):
            check(*inside(host, ["ip", "addr", "add", f"{address}/24", "dev", device]))
            check(*inside(host, ["ip", "link", "set", device, "up"]))
            check(*inside(host, ["ip", "link", "set", "lo", "up"]))
            check(*inside(host, ["tc", "qdisc", "replace", "dev", device, "root", "tbf", "rate", self.rate, "burst", "1mb",
                                 "latency", "100ms"]))

    @staticmethod
    def _down():
        for namespace in NAMESPACES:
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True)


def mpirun(agent):
    """mpirun with one rank per host; `agent` is this program's command that stands in for ssh."""
    hostfile = launch.WORK / "two_hosts.hosts"
    hostfile.parent.mkdir(parents=True, exist_ok=True)
    hostfile.write_text("".join(f"{address} slots=1\n" for address in ADDRESSES))
    network = ["--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", NETWORK, "--mca", "oob_tcp_if_include", NETWORK]
    return inside(0, [*launch.MPIRUN, "--mca", "plm_rsh_agent", agent, "-hostfile", str(hostfile), *network])


def act_as_ssh(host, words):
    """Becomes the command that mpirun wants to run on a host."""
    command = inside(ADDRESSES.index(host), ["bash", "-c", " ".join(words)])
    os.execvp(command[0], command)
