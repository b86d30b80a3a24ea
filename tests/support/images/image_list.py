"""What is in each image: packages, and what their maintainer scripts would
have done that the software needs.

Every image has two layers: BASE, the same bytes in all of them, and its own.
"""

# Packages of the layer that all images share.
BASE = ["base-files", "base-passwd", "bash", "coreutils", "dash", "diffutils",
        "findutils", "grep", "libc-bin", "mawk", "sed"]

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Image:
    """packages; the "config" object of the image; users as passwd lines and
    groups as group lines; files by path (text; mode 0755 when it begins with
    #!); directories by path, as (uid, gid, mode); links by path."""

    def __init__(self, packages, config, users=(), groups=(), files=None,
                 directories=None, links=None):
        self.packages = packages
        self.config = {"Env": [PATH], **config}
        self.users, self.groups = users, groups
        self.files, self.directories = files or {}, directories or {}
        self.links = links or {}


IMAGES = {
    "shell": Image([], {"Cmd": ["bash"]}),
    # No handlers of its own: SIGINT ends it with an exception.
    "python": Image(["python3"], {
        "Cmd": ["python3"], "StopSignal": "SIGINT",
        "Env": [PATH, "LANG=C.UTF-8"], "WorkingDir": "/srv"}),
    "node": Image(["nodejs"], {
        "Entrypoint": ["node"], "User": "1000:1000", "WorkingDir": "/srv/app",
        "ExposedPorts": {"3000/tcp": {}}},
        users=["node:x:1000:1000::/home/node:/bin/bash"],
        groups=["node:x:1000:"],
        directories={"home/node": (1000, 1000, 0o755)}),
    "nginx": Image(["nginx-light"], {
        "Entrypoint": ["nginx"], "Cmd": ["-g", "daemon off;"],
        "StopSignal": "SIGQUIT", "ExposedPorts": {"80/tcp": {}}},
        files={"var/www/html/index.html": "the page of the image\n"},
        directories={"var/log/nginx": (33, 4, 0o755),
                 "var/lib/nginx": (33, 33, 0o755)},
        links={"var/log/nginx/access.log": "/dev/null",
               "etc/nginx/sites-enabled/default":
                   "/etc/nginx/sites-available/default"}),
    "redis": Image(["redis-server"], {
        "User": "redis", "WorkingDir": "/data", "Volumes": {"/data": {}},
        "Entrypoint": ["redis-server"],
        "Cmd": ["--bind", "0.0.0.0", "--protected-mode", "no"],
        "ExposedPorts": {"6379/tcp": {}}},
        users=["redis:x:101:101::/var/lib/redis:/usr/sbin/nologin"],
        groups=["redis:x:101:"],
        directories={"data": (101, 101, 0o755)}),
    # SIGINT is postgres' "fast" shutdown: it does not wait for its clients.
    "postgres": Image(["postgresql-15"], {
        "User": "postgres", "StopSignal": "SIGINT",
        "Env": ["PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin",
                "LANG=C.UTF-8", "PGDATA=/var/lib/postgresql/data/db"],
        "Entrypoint": ["/usr/local/bin/serve"],
        "ExposedPorts": {"5432/tcp": {}}},
        users=["postgres:x:102:102::/var/lib/postgresql:/bin/bash"],
        groups=["postgres:x:102:", "ssl-cert:x:103:postgres"],
        files={"usr/local/bin/serve":
               "#!/bin/bash\n"
               "set -e\n"
               "[[ -s $PGDATA/PG_VERSION ]] ||\n"
               "  initdb --auth=trust --no-sync >/dev/null\n"
               "exec postgres -c listen_addresses='*'\n"},
        directories={"var/lib/postgresql": (102, 102, 0o755),
                 "var/run/postgresql": (102, 102, 0o2775)}),
    "ssh": Image(["openssh-server", "openssh-client"], {
        "Cmd": ["/usr/sbin/sshd", "-D", "-e"],
        "ExposedPorts": {"22/tcp": {}}},
        users=["sshd:x:104:65534::/run/sshd:/usr/sbin/nologin",
               "alice:x:1000:1000::/home/alice:/bin/bash",
               "bob:x:1001:1000::/:/usr/sbin/nologin"],
        groups=["alice:x:1000:"],
        files={"etc/shadow": "root:*:19000:0:99999:7:::\n"
                             "alice:*:19000:0:99999:7:::\n"
                             "bob:*:19000:0:99999:7:::\n",
               "etc/ssh/sshd_config":
                   "PasswordAuthentication no\n"
                   "UsePAM no\n"
                   "Subsystem sftp internal-sftp\n"
                   "Match User bob\n"
                   "  AuthorizedKeysFile /etc/ssh/bob_keys\n"
                   "  ChrootDirectory /jail\n"
                   "  ForceCommand internal-sftp\n"},
        directories={"run/sshd": (0, 0, 0o755),
                 "home/alice": (1000, 1000, 0o700)}),
}
