#!/usr/bin/python3
"""Compares the wire facts of a descriptor set with a fingerprint kept in the
repository.

usage: check_fingerprint.py [--update] PACKAGE DESCRIPTOR_SET FINGERPRINT

A fact is one line of text: an rpc with its types and streams, a field with its
number, type and label, an enum value with its number, a message or an enum by
its name. Facts are sorted, so the order and the comments of the .proto do not
matter. What differs is printed like a diff ("-" only in the fingerprint, "+"
only in the descriptor) and the exit status is 1. --update rewrites the
fingerprint instead. Exit status 2: unusable input.
"""
import sys

try:
    from google.protobuf import descriptor_pb2
    from google.protobuf.message import DecodeError
except ImportError:
    sys.stderr.write("check_fingerprint: needs python3-protobuf\n")
    sys.exit(2)

FIELD = descriptor_pb2.FieldDescriptorProto


def type_name(field):
    if field.type_name:
        return field.type_name
    return FIELD.Type.Name(field.type)[len("TYPE_"):].lower()


def field_label(field, message):
    if field.proto3_optional:
        return "optional "
    if field.HasField("oneof_index"):
        return "oneof(%s) " % message.oneof_decl[field.oneof_index].name
    if field.label == FIELD.LABEL_REPEATED:
        unpacked = field.options.HasField("packed") and not field.options.packed
        return "unpacked " if unpacked else "repeated "
    return ""


def enum_facts(enum, prefix):
    name = prefix + "." + enum.name
    yield "enum %s" % name
    for value in enum.value:
        yield "value %s.%s = %d" % (name, value.name, value.number)


def message_facts(message, prefix):
    name = prefix + "." + message.name
    entry = " (map entry)" if message.options.map_entry else ""
    yield "message %s%s" % (name, entry)
    for field in message.field:
        yield "field %s.%s = %d %s%s" % (name, field.name, field.number,
                                         field_label(field, message),
                                         type_name(field))
    for inner in message.enum_type:
        yield from enum_facts(inner, name)
    for inner in message.nested_type:
        yield from message_facts(inner, name)


def service_facts(service, prefix):
    for rpc in service.method:
        yield "rpc %s.%s.%s: %s%s -> %s%s" % (
            prefix, service.name, rpc.name,
            "stream " if rpc.client_streaming else "", rpc.input_type,
            "stream " if rpc.server_streaming else "", rpc.output_type)


def facts(files, package):
    prefix = "." + package
    for file in files:
        if file.package != package:
            continue
        yield "syntax %s" % (file.syntax or "proto2")
        for enum in file.enum_type:
            yield from enum_facts(enum, prefix)
        for message in file.message_type:
            yield from message_facts(message, prefix)
        for service in file.service:
            yield from service_facts(service, prefix)


def read_descriptor(path, package):
    files = descriptor_pb2.FileDescriptorSet()
    with open(path, "rb") as stream:
        files.ParseFromString(stream.read())
    return sorted(facts(files.file, package))


def main(arguments):
    update = "--update" in arguments
    arguments = [a for a in arguments if a != "--update"]
    if len(arguments) != 3:
        sys.stderr.write(__doc__)
        return 2
    package, descriptor_path, fingerprint_path = arguments
    try:
        found = read_descriptor(descriptor_path, package)
        if not found:
            raise ValueError("no file of package %s" % package)
        if update:
            with open(fingerprint_path, "w", encoding="utf-8") as stream:
                stream.write("\n".join(found) + "\n")
            return 0
        with open(fingerprint_path, encoding="utf-8") as stream:
            kept = stream.read().splitlines()
    except (OSError, ValueError, DecodeError) as error:
        sys.stderr.write("check_fingerprint: %s\n" % error)
        return 2
    for line in sorted(set(kept) - set(found)):
        print("- " + line)
    for line in sorted(set(found) - set(kept)):
        print("+ " + line)
    same = kept == found
    print("%s: %d facts in the fingerprint, %d in the descriptor" %
          ("OK" if same else "DIFFERENT", len(kept), len(found)))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
