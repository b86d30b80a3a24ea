#!/usr/bin/python3
"""Writes an OCI archive of one static program.

usage: make_pause_image.py PROGRAM REFERENCE OUTPUT.tar
"""
import hashlib
import io
import json
import sys
import tarfile


def member(archive, name, data, mode=0o644):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = mode
    archive.addfile(info, io.BytesIO(data))


def digest(data):
    return hashlib.sha256(data).hexdigest()


def descriptor(kind, data):
    return {
        "mediaType": "application/vnd.oci.image." + kind,
        "digest": "sha256:" + digest(data),
        "size": len(data),
    }


def main(program, reference, output):
    with open(program, "rb") as file:
        content = file.read()
    layer_file = io.BytesIO()
    with tarfile.open(fileobj=layer_file, mode="w") as layer:
        member(layer, "pause", content, 0o755)
    layer = layer_file.getvalue()
    config = json.dumps({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest(layer)]},
    }).encode()
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", config),
        "layers": [descriptor("layer.v1.tar", layer)],
    }).encode()
    entry = descriptor("manifest.v1+json", manifest)
    entry["annotations"] = {"io.containerd.image.name": reference}
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    with tarfile.open(output, "w") as archive:
        member(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        member(archive, "index.json", index)
        for blob in (layer, config, manifest):
            member(archive, "blobs/sha256/" + digest(blob), blob)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
