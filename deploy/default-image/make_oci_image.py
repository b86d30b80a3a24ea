#!/usr/bin/python3
"""Makes an OCI image archive of one layer from a directory.

As a module (layer_tar, write_layout) it makes images of several layers.

  make_oci_image.py --root DIR --config FILE --output FILE.tar
                    [--compression gzip|zstd|none] [--name NAME:TAG]
                    [--owner PATH=UID:GID]... [--mode PATH=OCTAL]...

The result is a tar of an OCI image layout.  It depends on nothing but the
names, modes and contents below DIR, CONFIG and the options: entries are
sorted, belong to root unless --owner says otherwise, and carry the time 0, so
that two builds give the same bytes.  CONFIG is the "config" object of the OCI
image configuration (Cmd, Env, ...).  zstd needs the program of that name.
"""

import argparse
import hashlib
import io
import json
import os
import platform
import stat
import subprocess
import sys
import tarfile
import zlib

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
LAYER_TYPES = {
    "none": "application/vnd.oci.image.layer.v1.tar",
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
}


def add_member(archive, info, data=None):
    info.mtime = 0
    info.uname = info.gname = ""
    archive.addfile(info, data)


def layer_tar(root, owners, modes):
    """The tar of everything below root, parents before children."""
    paths = [""]
    for directory, directories, files in os.walk(root):
        for name in directories + files:
            paths.append(os.path.relpath(os.path.join(directory, name), root))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w",
                      format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(paths):
            full = os.path.join(root, path) if path else root
            status = os.lstat(full)
            info = tarfile.TarInfo(path or ".")
            info.mode = modes.get(path, stat.S_IMODE(status.st_mode))
            info.uid, info.gid = owners.get(path, (0, 0))
            if stat.S_ISLNK(status.st_mode):
                info.type = tarfile.SYMTYPE
                info.linkname = os.readlink(full)
                info.mode = 0o777
                add_member(archive, info)
            elif stat.S_ISDIR(status.st_mode):
                info.type = tarfile.DIRTYPE
                add_member(archive, info)
            elif stat.S_ISREG(status.st_mode):
                info.size = status.st_size
                with open(full, "rb") as data:
                    add_member(archive, info, data)
            else:
                sys.exit(f"make_oci_image: {path} is no file, directory or link")
    return buffer.getvalue()


def compress(data, how):
    if how == "gzip":
        # Not gzip.compress: its header carries a time.
        packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        return packer.compress(data) + packer.flush()
    if how == "zstd":
        return subprocess.run(["zstd", "-q", "-19", "-c"], input=data,
                              stdout=subprocess.PIPE, check=True).stdout
    return data


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def to_json(document):
    return json.dumps(document, sort_keys=True,
                      separators=(",", ":")).encode()


def descriptor(media_type, data, **more):
    return {"mediaType": media_type, "digest": digest_of(data),
            "size": len(data), **more}


def write_layout(output, config_object, tars, how, name):
    """Writes the archive; `tars` are the layers, lowest first."""
    architecture = ARCHITECTURES.get(platform.machine(), platform.machine())
    layers = [compress(tar, how) for tar in tars]
    config = to_json({
        "architecture": architecture,
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": config_object,
        "rootfs": {"type": "layers",
                   "diff_ids": [digest_of(tar) for tar in tars]},
        "history": [{"created": "1970-01-01T00:00:00Z",
                     "created_by": "make_oci_image"} for _ in tars],
    })
    manifest = to_json({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json",
                             config),
        "layers": [descriptor(LAYER_TYPES[how], layer) for layer in layers],
    })
    annotations = {"org.opencontainers.image.ref.name": name} if name else {}
    index = to_json({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [descriptor(
            "application/vnd.oci.image.manifest.v1+json", manifest,
            platform={"architecture": architecture, "os": "linux"},
            annotations=annotations)],
    })
    files = {"oci-layout": to_json({"imageLayoutVersion": "1.0.0"}),
             "index.json": index}
    for blob in (manifest, config, *layers):
        files["blobs/sha256/" + digest_of(blob)[7:]] = blob
    temporary = output + ".part"
    with tarfile.open(temporary, mode="w",
                      format=tarfile.USTAR_FORMAT) as archive:
        for directory in ("blobs", "blobs/sha256"):
            info = tarfile.TarInfo(directory)
            info.type = tarfile.DIRTYPE
            info.mode = 0o755
            add_member(archive, info)
        for path in sorted(files):
            info = tarfile.TarInfo(path)
            info.size = len(files[path])
            info.mode = 0o644
            add_member(archive, info, io.BytesIO(files[path]))
    os.replace(temporary, output)


def pairs(items, parse):
    result = {}
    for item in items:
        path, _, value = item.partition("=")
        result[path] = parse(value)
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--compression", default="gzip",
                        choices=sorted(LAYER_TYPES))
    parser.add_argument("--name", default="")
    parser.add_argument("--owner", action="append", default=[])
    parser.add_argument("--mode", action="append", default=[])
    options = parser.parse_args()
    with open(options.config, encoding="utf-8") as file:
        config_object = json.load(file)
    owners = pairs(options.owner,
                   lambda value: tuple(int(n) for n in value.split(":")))
    modes = pairs(options.mode, lambda value: int(value, 8))
    tar = layer_tar(options.root, owners, modes)
    write_layout(options.output, config_object, [tar], options.compression,
                 options.name)


if __name__ == "__main__":
    main()
