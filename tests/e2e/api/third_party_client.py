#!/usr/bin/python3
"""A CRI client that knows nothing but a socket.

usage: third_party_client.py SOCKET LOG_FOLDER

Debian's python3-grpcio and server reflection, no generated stubs: learns every
message from the server, calls the health service, and runs a pod with one
container from start to end.
"""
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
BUSYBOX = "warren.local/busybox:latest"


def reflection_messages():
    """The few fields of the reflection protocol that are needed here."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="reflection_subset.proto", package="subset", syntax="proto3")

    def message(name, *fields):
        descriptor = file.message_type.add(name=name)
        for number, field_name, kind, label, type_name in fields:
            descriptor.field.add(
                name=field_name, number=number, type=kind, label=label,
                type_name=type_name)

    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    text, data, nested = field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_MESSAGE
    message("Request", (4, "symbol", text, one, None),
            (7, "list_services", text, one, None))
    message("Files", (1, "file", data, many, None))
    message("Service", (1, "name", text, one, None))
    message("Services", (1, "service", nested, many, ".subset.Service"))
    message("Response", (4, "files", nested, one, ".subset.Files"),
            (6, "services", nested, one, ".subset.Services"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return tuple(
        factory.GetPrototype(pool.FindMessageTypeByName("subset." + name))
        for name in ("Request", "Response"))


class Server:
    """Calls any method of any service the server describes."""

    def __init__(self, socket):
        self.channel = grpc.insecure_channel(
            "unix:" + socket,
            options=[("grpc.default_authority", "localhost")])
        self.pool = descriptor_pool.DescriptorPool()
        self.factory = message_factory.MessageFactory(self.pool)
        self.request_type, self.response_type = reflection_messages()
        self.known = set()

    def ask(self, **question):
        call = self.channel.stream_stream(
            REFLECTION,
            request_serializer=self.request_type.SerializeToString,
            response_deserializer=self.response_type.FromString)
        return next(call(iter([self.request_type(**question)])))

    def services(self):
        answer = self.ask(list_services="*")
        return sorted(service.name for service in answer.services.service)

    def learn(self, service):
        files = {}
        for data in self.ask(symbol=service).files.file:
            file = descriptor_pb2.FileDescriptorProto.FromString(data)
            files[file.name] = file

        def add(name):  # what a file imports comes first
            if name in self.known:
                return
            self.known.add(name)
            for other in files[name].dependency:
                add(other)
            self.pool.Add(files[name])

        for name in files:
            add(name)
        return self.pool.FindServiceByName(service)

    def call(self, service, method, request=None, timeout=60):
        descriptor = self.learn(service).methods_by_name[method]
        request_type = self.factory.GetPrototype(descriptor.input_type)
        reply_type = self.factory.GetPrototype(descriptor.output_type)
        return self.channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=request_type.SerializeToString,
            response_deserializer=reply_type.FromString)(
                request_type(**(request or {})), timeout=timeout)


def expect(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: {got!r} instead of {wanted!r}")
    print(f"{what}: {got}")


def run_pod(server, log_directory):
    def cri(method, **request):
        return server.call("runtime.v1.RuntimeService", method, request)

    pod = {
        "metadata": {"name": "python", "uid": "u", "namespace": "n"},
        "hostname": "python",
        "log_directory": log_directory,
    }
    pod_id = cri("RunPodSandbox", config=pod).pod_sandbox_id
    container = {
        "metadata": {"name": "main"},
        "image": {"image": BUSYBOX},
        "command": ["sleep", "1000"],
        "log_path": "main.log",
    }
    container_id = cri("CreateContainer", pod_sandbox_id=pod_id,
                       config=container, sandbox_config=pod).container_id
    cri("StartContainer", container_id=container_id)
    reply = cri("ExecSync", container_id=container_id,
                cmd=["hostname"], timeout=10)
    expect("hostname in the pod", reply.stdout, b"python\n")
    state = cri("ContainerStatus", container_id=container_id).status.state
    expect("state", state, 1)
    cri("StopContainer", container_id=container_id, timeout=0)
    state = cri("ContainerStatus", container_id=container_id).status.state
    expect("state after the stop", state, 2)
    cri("StopPodSandbox", pod_sandbox_id=pod_id)
    cri("RemovePodSandbox", pod_sandbox_id=pod_id)
    expect("pods left", len(cri("ListPodSandbox").items), 0)


def main(socket, log_directory):
    server = Server(socket)
    services = server.services()
    for name in ("grpc.health.v1.Health", "runtime.v1.ImageService",
                 "runtime.v1.RuntimeService", "warren.node.v1.NodeService"):
        expect(f"{name} is listed", name in services, True)
    serving = 1
    expect("health", server.call("grpc.health.v1.Health", "Check").status,
           serving)
    for name in ("runtime.v1.RuntimeService", "runtime.v1.ImageService"):
        expect(f"health of {name}",
               server.call("grpc.health.v1.Health", "Check",
                           {"service": name}).status, serving)
    try:
        server.call("grpc.health.v1.Health", "Check", {"service": "no.such"})
        sys.exit("health of an unknown service: no error")
    except grpc.RpcError as error:
        expect("health of an unknown service", error.code(),
               grpc.StatusCode.NOT_FOUND)
    version = server.call("runtime.v1.RuntimeService", "Version")
    expect("version", version.version, "0.1.0")
    expect("methods of RuntimeService",
           len(server.learn("runtime.v1.RuntimeService").methods), 35)
    run_pod(server, log_directory)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
