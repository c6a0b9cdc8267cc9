"""What `trireme plan` says, and what the last lines of a run say of the same."""
import json
import re
import subprocess

from measure import launch

MIB = 1024 * 1024


def plan(binary, arguments, ranks):
    command = [binary, "plan", *arguments, "--ranks", str(ranks), "--json"]
    planned = subprocess.run(command, capture_output=True, text=True)
    if planned.returncode != 0:
        launch.give_up(f"exit code {planned.returncode} of {' '.join(map(str, command))}\n{planned.stderr}")
    return json.loads(planned.stdout)


def over_ranks(plan, *keys):
    """The sum over all ranks of a number of each."""
    total = 0
    for rank in plan["ranks"]:
        value = rank
        for key in keys:
            value = value[key]
        total += rank["count"] * value
    return total


def tolerance(measured, ranks):
    """Bytes by which ranks may be off their plan together."""
    return measured / 50 + 32 * MIB * ranks


def own_measure(output):
    """What the run itself says that its node held."""
    found = re.search(r"^memory of node .*measured .*\((\d+) bytes\)", output, re.MULTILINE)
    if not found:
        raise RuntimeError("the run printed no 'memory of node'")
    return int(found.group(1))


def parameters(output):
    """The number of parameters that a run says its model has."""
    return int(re.search(r"^model: (\d+) parameters;", output, re.MULTILINE).group(1))


def wire_of_step(output):
    """Of all ranks: bytes of gathers, of reduces, and of both by messages, as planned."""
    found = re.search(r"^wire of a step: gathers (\d+) bytes, reduces (\d+) bytes, of both (\d+) bytes by messages$", output, re.MULTILINE)
    if not found:
        raise RuntimeError("the run printed no 'wire of a step'")
    return tuple(map(int, found.groups()))


def wire_of_run(output):
    """Of all ranks, measured: bytes in place, and by messages."""
    found = re.search(r"^wire of the run: planned .*, measured (\d+) and (\d+)$", output, re.MULTILINE)
    if not found:
        raise RuntimeError("the run printed no 'wire of the run'")
    return tuple(map(int, found.groups()))
