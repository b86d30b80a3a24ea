#!/usr/bin/python3
"""Makes the OCI archives of ordinary software that tests run.

  build_images.py OUTPUT_FOLDER [IMAGE...]

Writes OUTPUT_FOLDER/<image>.tar for each image of image_list.py.  An archive
is made anew only when a version of a package, or these scripts, changed.  No
network but the machine's package registry; nothing is installed.  When the
registry cannot be reached, OUTPUT_FOLDER/unavailable says why (the tests skip
with it) and the exit code is 0; a registry that works takes the file away.
"""

import fcntl
import hashlib
import os
import shutil
import stat
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
OCI = os.path.join(HERE, "../../../deploy/default-image")
sys.path.insert(0, OCI)
sys.dont_write_bytecode = True

import debian  # noqa: E402
import image_list  # noqa: E402
import make_oci_image  # noqa: E402

SCRIPTS = [os.path.join(HERE, name) for name in
           ("build_images.py", "debian.py", "image_list.py")]
SCRIPTS.append(os.path.join(OCI, "make_oci_image.py"))


def write(root, path, text):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    if os.path.lexists(full):
        os.unlink(full)
    with open(full, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(full, 0o755 if text.startswith("#!") else 0o644)


def modes_below(root):
    """Modes of everything but links, as the packages have them."""
    modes = {}
    for directory, directories, files in os.walk(root):
        for name in directories + files:
            full = os.path.join(directory, name)
            mode = os.lstat(full).st_mode
            if not stat.S_ISLNK(mode):
                modes[os.path.relpath(full, root)] = stat.S_IMODE(mode)
    return modes


def accounts(base_root, image):
    """/etc/passwd and /etc/group: Debian's fixed ones and the image's."""
    for name, more in (("passwd", image.users), ("group", image.groups)):
        master = os.path.join(base_root, f"usr/share/base-passwd/{name}.master")
        with open(master, encoding="utf-8") as file:
            text = file.read().replace(":*:", ":x:")
        yield f"etc/{name}", text + "".join(line + "\n" for line in more)


def base_layer(archive, packages, root):
    archive.unpack(packages, root)
    links = {"usr/bin/awk": "mawk", "usr/bin/sh": "dash", "var/run": "/run",
             "var/lock": "/run/lock", "etc/os-release": "../usr/lib/os-release"}
    for path, target in links.items():
        if not os.path.lexists(os.path.join(root, path)):
            os.symlink(target, os.path.join(root, path))
    os.makedirs(os.path.join(root, "srv"), exist_ok=True)
    for path, text in accounts(root, image_list.Image([], {})):
        write(root, path, text)
    return make_oci_image.layer_tar(root, {}, {})


def image_layer(archive, image, packages, root, base_root):
    archive.unpack(packages, root)
    os.makedirs(os.path.join(root, "var"), exist_ok=True)
    if not os.path.lexists(os.path.join(root, "var/run")):
        os.symlink("/run", os.path.join(root, "var/run"))
    for path, text in [*accounts(base_root, image), *image.files.items()]:
        write(root, path, text)
    for path, target in image.links.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if not os.path.lexists(full):
            os.symlink(target, full)
    owners = {}
    for path, (uid, gid, mode) in image.directories.items():
        full = os.path.join(root, path.replace("var/run/", "run/"))
        os.makedirs(full, exist_ok=True)
        os.chmod(full, mode)
        owners[os.path.relpath(full, root)] = (uid, gid)
    return make_oci_image.layer_tar(root, owners, modes_below(root))


def fingerprint(packages):
    digest = hashlib.sha256()
    for path in SCRIPTS:
        with open(path, "rb") as file:
            digest.update(file.read())
    for package in packages:
        digest.update(package.file.encode() + b"\n")
    return digest.hexdigest()


def is_fresh(archive_file, mark):
    try:
        with open(archive_file + ".mark", encoding="utf-8") as file:
            return os.path.exists(archive_file) and file.read() == mark
    except OSError:
        return False


def build(archive, output, names):
    base = archive.closure(image_list.BASE)
    in_base = {package.name for package in base}
    wanted = {}  # name -> (its packages, mark), of those to be made
    for name in names:
        packages = [] if not image_list.IMAGES[name].packages else [
            package for package
            in archive.closure(image_list.IMAGES[name].packages)
            if package.name not in in_base]
        mark = fingerprint(base + packages)
        if not is_fresh(os.path.join(output, name + ".tar"), mark):
            wanted[name] = (packages, mark)
    if not wanted:
        return
    needed = {p.file: p for packages, _ in wanted.values() for p in packages}
    archive.fetch(base + list(needed.values()))
    with tempfile.TemporaryDirectory(dir=output) as directory:
        base_root = os.path.join(directory, "base")
        os.mkdir(base_root, 0o755)
        base_tar = base_layer(archive, base, base_root)
        for name, (packages, mark) in wanted.items():
            image = image_list.IMAGES[name]
            root = os.path.join(directory, name)
            os.mkdir(root, 0o755)
            tar = image_layer(archive, image, packages, root, base_root)
            target = os.path.join(output, name + ".tar")
            make_oci_image.write_layout(target, image.config, [base_tar, tar],
                                        "none", f"debian.test/{name}:1")
            write(output, name + ".tar.mark", mark)
            shutil.rmtree(root)
            print(f"{name}: {len(packages)} packages, "
                  f"{os.path.getsize(target) >> 20} MiB")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    os.umask(0o022)
    output = os.path.abspath(sys.argv[1])
    names = sys.argv[2:] or sorted(image_list.IMAGES)
    os.makedirs(output, exist_ok=True)
    unavailable = os.path.join(output, "unavailable")
    with open(os.path.join(output, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        archive = debian.Archive(os.path.join(output, "apt"))
        try:
            try:
                build(archive, output, names)
            except debian.Unreachable:
                archive.use_own_lists()
                build(archive, output, names)
        except debian.Unreachable as error:
            print(f"no images: {error}")
            write(output, "unavailable", str(error))
            return
        if os.path.exists(unavailable):
            os.unlink(unavailable)


if __name__ == "__main__":
    main()
