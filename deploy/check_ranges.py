#!/usr/bin/python3
"""Do the pod ranges of a configuration clash with routes of this node?

  deploy/check_ranges.py CONFIG

Run by quickstart.sh before anything is built or made. Says nothing when all
is well; else names the route and a free range, and exits 1. The daemon checks
again when it starts.
"""
import ipaddress
import json
import subprocess
import sys
import tomllib

DEFAULT_RANGES = ["10.88.0.0/16"]
DEFAULT_BRIDGE = "warren0"


def used_prefixes(own_bridge):
    """Prefixes that the node routes elsewhere than to our own bridge."""
    used = []
    for family in ("-4", "-6"):
        text = subprocess.run(["ip", family, "-j", "route", "show"],
                              capture_output=True, check=True).stdout
        for route in json.loads(text or b"[]"):
            if route["dst"] == "default" or route.get("dev") == own_bridge:
                continue
            used.append(ipaddress.ip_network(route["dst"], strict=False))
    return used


def clash(wanted, used):
    """The first prefix of `used` that overlaps, or None."""
    for prefix in used:
        if prefix.version == wanted.version and prefix.overlaps(wanted):
            return prefix
    return None


def free_range(wanted, used):
    """A private range of the same size that overlaps nothing in use."""
    pools = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
    if wanted.version == 6:
        pools = ["fd00:88::/32"]
    for pool in map(ipaddress.ip_network, pools):
        if pool.prefixlen > wanted.prefixlen:
            continue
        for candidate in pool.subnets(new_prefix=wanted.prefixlen):
            if clash(candidate, used) is None:
                return candidate
    return None


def main(path):
    with open(path, "rb") as file:
        network = tomllib.load(file).get("network", {})
    used = used_prefixes(network.get("bridge", DEFAULT_BRIDGE))
    for text in network.get("pod_ranges", DEFAULT_RANGES):
        wanted = ipaddress.ip_network(text)
        found = clash(wanted, used)
        if found is None:
            continue
        free = free_range(wanted, used)
        advice = f"{free} is free" if free else "choose another"
        print(f"pod range {wanted} overlaps {found}, which this node already "
              f"routes: {advice} (pod_ranges under [network] in {path})",
              file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
