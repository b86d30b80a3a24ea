#!/usr/bin/python3
"""The systemd unit holds what keeps pods alive when the daemon is not
(requirement CPP-4), and nothing that would get into their way."""
import configparser
import re
import sys

import tree

PATH = "deploy/warrend.service"

WANTED = {
    "KillMode": r"process", "Delegate": r"yes", "OOMScoreAdjust": r"-999",
    "LimitNOFILE": r"1048576", "MemoryMax": r"\d+[KMG]", "Type": r"notify",
    "Restart": r"always", "RestartSec": r"1",
}
# A mount namespace of the unit's own would hide the pins of the pods and lose
# them at a restart; filters of the unit would be every container's.
REFUSED = re.compile(
    r"^(Protect\w+|Private\w+|ReadOnly\w*|ReadWritePaths|InaccessiblePaths|"
    r"TemporaryFileSystem|MountFlags|MountAPIVFS|RootDirectory|RootImage|"
    r"SystemCall\w+|Restrict\w+|DeviceAllow|DevicePolicy|NoNewPrivileges|"
    r"LockPersonality|MemoryDenyWriteExecute|DynamicUser|BindPaths)$")


def check_unit(path, text):
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(text)
    service = unit["Service"]
    findings = []
    for key, value in WANTED.items():
        if not re.fullmatch(value, service.get(key, "")):
            findings.append(tree.Finding(path, 1, f"want {key}={value}"))
    findings += [tree.Finding(path, 1, f"{key} is not for this daemon")
                 for key in service if REFUSED.match(key)]
    return findings


def check(_, read):
    return check_unit(PATH, read(PATH))


if __name__ == "__main__":
    tree.main("unit_file", check)
