"""Debian packages as files: which ones a program needs, fetched, unpacked.

Nothing is installed: apt is asked with an empty package database, so that the
answer does not depend on the machine, and only Debian's own archive counts
when the machine knows others.  Uses the machine's package lists; when there
are none, or they are too old to fetch from, private ones.
"""

import os
import re
import subprocess

# Pulled in by maintainer scripts (which nobody runs here), by features of no
# use in a container, or too large for what they add (postgres' JIT compiler).
LEFT_OUT = re.compile(
    r"(adduser|debconf|debconf-2.0|dpkg|gcc-12-base|init-system-helpers|"
    r"iproute2|libbpf1|libc-l10n|libdebconfclient0|libelf1|libfile-.*-perl|"
    r"libgdbm.*|libjson-perl|libllvm14|libnumber-compare-perl|libperl5.*|"
    r"libtext-glob-perl|libudev1|libz3-4|locales|lsb-base|openssl|passwd|"
    r"perl|perl-.*|postgresql-client-common|postgresql-common|procps|"
    r"readline-common|runit-helper|sensible-utils|ssl-cert|sysvinit-utils|"
    r"ucf|usrmerge)$")
# Not needed to run anything.
NO_FILES = ("usr/share/doc", "usr/share/man", "usr/share/locale",
            "usr/share/info", "usr/share/lintian", "usr/share/bug",
            "usr/share/common-licenses", "usr/include", "lib/systemd",
            "usr/share/postgresql/15/man")
MERGED = ("bin", "sbin", "lib", "lib64")

PREFERENCES = """Package: *
Pin: release o=Debian
Pin-Priority: 990

Package: *
Pin: release o=*
Pin-Priority: -10
"""


class Unreachable(Exception):
    """The package registry cannot be used; the text says why."""


class Package:
    def __init__(self, file):
        self.file = file  # "libattr1_1%3a2.5.1-4_amd64.deb"
        self.name, version = file.split("_")[:2]
        self.version = version.replace("%3a", ":")


class Archive:
    """apt with directories of its own below `directory`."""

    def __init__(self, directory):
        self.directory = os.path.abspath(directory)
        self.debs = os.path.join(self.directory, "debs")
        self.lists = []  # options: the machine's own
        self.complaint = ""  # of an update that did not get everything
        for part in ("debs", "cache/archives/partial", "lists/partial"):
            os.makedirs(os.path.join(self.directory, part), exist_ok=True)
        self._write("status", "")
        self._write("preferences", PREFERENCES)

    def _write(self, name, text):
        with open(os.path.join(self.directory, name), "w",
                  encoding="utf-8") as file:
            file.write(text)

    def _apt(self, *args, cwd=None):
        options = [f"Dir::State::status={self.directory}/status",
                   f"Dir::Cache={self.directory}/cache",
                   f"Dir::Etc::preferences={self.directory}/preferences",
                   "Dir::Etc::preferencesparts=/dev/null",
                   "APT::Sandbox::User=", "APT::Install-Recommends=false",
                   "Acquire::Retries=2", "Acquire::http::Timeout=20"]
        command = ["apt-get", "-q", "-y"]
        for option in options + self.lists:
            command += ["-o", option]
        try:
            return subprocess.run(
                command + list(args), cwd=cwd, check=True, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C"}).stdout
        except FileNotFoundError as error:
            raise Unreachable("this machine has no apt-get") from error
        except subprocess.CalledProcessError as error:
            lines = (error.stderr.strip() or error.stdout).splitlines()
            raise Unreachable(f"apt-get {args[0]}: " + " ".join(lines[-3:]) +
                              self.complaint) from error

    def use_own_lists(self):
        self.lists = [f"Dir::State::lists={self.directory}/lists"]
        try:
            self._apt("update", "--error-on=any")
        except Unreachable as error:
            # Perhaps of a source that has nothing for us.
            self.complaint = f" ({error})"

    def closure(self, names):
        """All packages that `names` need, sorted, without those LEFT_OUT."""
        out = self._apt("install", "--print-uris", *names)
        found = [Package(line.split()[1]) for line in out.splitlines()
                 if line.startswith("'")]
        return sorted((p for p in found if not LEFT_OUT.match(p.name)),
                      key=lambda p: p.name)

    def fetch(self, packages):
        missing = [p for p in packages
                   if not os.path.exists(os.path.join(self.debs, p.file))]
        if missing:
            self._apt("download", *(f"{p.name}={p.version}" for p in missing),
                      cwd=self.debs)

    def unpack(self, packages, root):
        """Into `root`, /usr merged, without what NO_FILES names."""
        for name in MERGED:
            os.makedirs(os.path.join(root, "usr", name), exist_ok=True)
            link = os.path.join(root, name)
            if not os.path.islink(link):
                os.symlink("usr/" + name, link)
        without = [f"--exclude=./{path}" for path in NO_FILES]
        for package in packages:
            deb = os.path.join(self.debs, package.file)
            with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb],
                                  stdout=subprocess.PIPE) as data:
                subprocess.run(
                    ["tar", "-x", "-p", "--no-same-owner",
                     "--keep-directory-symlink", *without, "-C", root],
                    stdin=data.stdout, check=True)
            if data.returncode != 0:
                raise RuntimeError(f"{deb} is damaged")
