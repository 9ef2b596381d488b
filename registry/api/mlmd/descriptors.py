"""Message classes and methods of a service, from its `.proto` file, in a descriptor pool of their own.

The files are read when the door opens: no compiler, no generated module, and nothing that meets an installed `ml_metadata`. Of
the language it knows what they use (proto2 without extensions or options).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, field_mask_pb2, message_factory, struct_pb2
from google.protobuf.message import Message

FILE = Path(__file__).parent / "metadata_store.proto"
HEALTH_FILE = FILE.with_name("health.proto")
REFLECTION_FILE = FILE.with_name("reflection.proto")
_TOKEN = re.compile(r'//[^\n]*|"[^"]*"|[\w.]+|-?\d+|[{}\[\]()<>;,=]')
_SCALARS = {
    name: getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name.upper()}")
    for name in ("int32", "int64", "double", "string", "bool", "bytes")
}
_LABELS = {
    "optional": descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
    "repeated": descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED,
}


@dataclass(frozen=True)
class Method:
    """One RPC: its name and its two message classes."""

    name: str
    request: type[Message]
    response: type[Message]


@dataclass(frozen=True)
class Service:
    """`messages`: class by name within the package, nested ones dotted. `pool`: holds the file and what it imports."""

    name: str
    methods: Mapping[str, Method]
    messages: Mapping[str, Any]
    file: bytes
    pool: descriptor_pool.DescriptorPool


def service() -> Service:
    """ML Metadata's."""
    return loaded(FILE)


def health() -> Service:
    return loaded(HEALTH_FILE)


def reflection() -> tuple[Service, Service]:
    """Server reflection under its two names, the older of which some tools ask for."""
    return loaded(REFLECTION_FILE), loaded(REFLECTION_FILE, ("grpc.reflection.v1", "grpc.reflection.v1alpha"))


@cache
def loaded(path: Path, package: tuple[str, str] | None = None) -> Service:
    """Read once for the process. `package`: the file's, and another that takes its place."""
    text, name = path.read_text("utf-8"), path.name
    if package is not None:
        text, name = text.replace(f"package {package[0]};", f"package {package[1]};"), f"{package[1]}.proto"
    file = _Parser(text).file(name)
    pool = descriptor_pool.DescriptorPool()
    for known in (any_pb2, field_mask_pb2, struct_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    found = pool.FindFileByName(file.name)
    classes: dict[str, Any] = {}
    _collect(found.message_types_by_name.values(), classes, found.package)
    declared = found.services_by_name[file.service[0].name]
    methods = {
        method.name: Method(
            method.name,
            message_factory.GetMessageClass(method.input_type),
            message_factory.GetMessageClass(method.output_type),
        )
        for method in declared.methods
    }
    return Service(declared.full_name, methods, classes, file.SerializeToString(), pool)


def _collect(descriptors: Any, classes: dict[str, Any], package: str) -> None:
    for descriptor in descriptors:
        classes[descriptor.full_name.removeprefix(f"{package}.")] = message_factory.GetMessageClass(descriptor)
        _collect(descriptor.nested_types, classes, package)


class _Parser:
    """Recursive descent over the tokens; the files are ours, so a surprise is an assertion."""

    def __init__(self, text: str) -> None:
        self._tokens = [token for token in _TOKEN.findall(text) if not token.startswith("//")]
        self._at = 0
        self._kinds: dict[str, bool] = {}  # full name: whether it is an enumeration

    def _next(self) -> str:
        self._at += 1
        token: str = self._tokens[self._at - 1]
        return token

    def _take(self, *expected: str) -> None:
        for token in expected:
            found = self._next()
            assert found == token, f"{token} expected, {found} found"  # noqa: S101

    def _until(self, end: str) -> Iterator[str]:
        while (token := self._next()) != end:
            yield token

    def file(self, name: str) -> descriptor_pb2.FileDescriptorProto:
        made = descriptor_pb2.FileDescriptorProto(name=name)
        while self._at < len(self._tokens):
            match self._next():
                case "syntax":
                    self._take("=", '"proto2"', ";")
                case "package":
                    made.package = self._next()
                    self._take(";")
                case "import":
                    made.dependency.append(self._next().strip('"'))
                    self._take(";")
                case "message":
                    self._message(made.message_type.add(), f".{made.package}")
                case "enum":
                    self._enum(made.enum_type.add(), f".{made.package}")
                case word:
                    assert word == "service", word  # noqa: S101
                    self._service(made.service.add(), made.package)
        for message in made.message_type:
            self._resolve(message, f".{made.package}")
        return made

    def _service(self, made: descriptor_pb2.ServiceDescriptorProto, package: str) -> None:
        made.name = self._next()
        self._take("{")
        for _rpc in self._until("}"):
            method = made.method.add(name=self._next())
            self._take("(")
            method.client_streaming, method.input_type = self._message_of_rpc(package)
            self._take(")", "returns", "(")
            method.server_streaming, method.output_type = self._message_of_rpc(package)
            self._take(")", ";")

    def _message_of_rpc(self, package: str) -> tuple[bool, str]:
        """(whether many come, its full name)."""
        word = self._next()
        streams = word == "stream"
        return streams, f".{package}.{self._next() if streams else word}"

    def _enum(self, made: descriptor_pb2.EnumDescriptorProto, scope: str) -> None:
        made.name = self._next()
        self._kinds[f"{scope}.{made.name}"] = True
        self._take("{")
        for name in self._until("}"):
            self._take("=")
            made.value.add(name=name, number=int(self._next()))
            self._take(";")

    def _message(self, made: descriptor_pb2.DescriptorProto, scope: str) -> None:
        made.name = self._next()
        inner = f"{scope}.{made.name}"
        self._kinds[inner] = False
        self._take("{")
        for word in self._until("}"):
            match word:
                case "message":
                    self._message(made.nested_type.add(), inner)
                case "enum":
                    self._enum(made.enum_type.add(), inner)
                case "oneof":
                    made.oneof_decl.add(name=self._next())
                    self._take("{")
                    for type_ in self._until("}"):
                        self._field(made, type_, _LABELS["optional"]).oneof_index = len(made.oneof_decl) - 1
                case "map":
                    self._map(made, inner)
                case label:
                    self._field(made, self._next(), _LABELS[label])

    def _field(
        self,
        made: descriptor_pb2.DescriptorProto,
        type_: str,
        label: "descriptor_pb2.FieldDescriptorProto.Label.ValueType",
    ) -> descriptor_pb2.FieldDescriptorProto:
        field = made.field.add(name=self._next(), label=label)
        if type_ in _SCALARS:
            field.type = _SCALARS[type_]
        else:
            field.type_name = type_
        self._take("=")
        field.number = int(self._next())
        mark = self._next()
        while mark in {"[", ","}:
            option = self._next()
            self._take("=")
            if option == "default":
                field.default_value = self._next()
            else:
                assert option == "packed", option  # noqa: S101
                field.options.packed = self._next() == "true"
            mark = self._next()
        assert mark in {"]", ";"}, mark  # noqa: S101
        if mark == "]":
            self._take(";")
        return field

    def _map(self, made: descriptor_pb2.DescriptorProto, inner: str) -> None:
        """`map<K, V> name = n;` is a repeated entry of key and value."""
        self._take("<")
        key = self._next()
        self._take(",")
        value = self._next()
        self._take(">")
        name = self._next()
        self._take("=")
        entry = made.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        self._kinds[f"{inner}.{entry.name}"] = False
        entry.field.add(name="key", number=1, label=_LABELS["optional"], type=_SCALARS[key])
        held = entry.field.add(name="value", number=2, label=_LABELS["optional"])
        if value in _SCALARS:
            held.type = _SCALARS[value]
        else:
            held.type_name = value
        made.field.add(name=name, number=int(self._next()), label=_LABELS["repeated"], type_name=entry.name)
        self._take(";")

    def _resolve(self, message: descriptor_pb2.DescriptorProto, scope: str) -> None:
        """Relative type names to full ones, innermost scope first."""
        inner = f"{scope}.{message.name}"
        for nested in message.nested_type:
            self._resolve(nested, inner)
        for field in message.field:
            if field.type_name:
                field.type_name, is_enum = self._found(field.type_name, inner)
                kinds = descriptor_pb2.FieldDescriptorProto
                field.type = kinds.TYPE_ENUM if is_enum else kinds.TYPE_MESSAGE

    def _found(self, name: str, scope: str) -> tuple[str, bool]:
        while scope:
            if f"{scope}.{name}" in self._kinds:
                return f"{scope}.{name}", self._kinds[f"{scope}.{name}"]
            scope = scope.rpartition(".")[0]
        assert name.startswith("google.protobuf."), name  # noqa: S101
        return f".{name}", False
