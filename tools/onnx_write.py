"""Writes ONNX files with nothing but the standard library.

An ONNX file is one protobuf message. The few fields that a feed-forward network needs are written here by hand, in a
fixed order, so that the same network gives the same bytes on every machine and no version of any package can change
them. Field numbers are those of onnx.proto (IR version 8).
"""

import struct

FLOAT, INT64 = 1, 7
"""TensorProto.DataType."""

IR_VERSION, OPSET = 8, 17

_ATTRIBUTE_FLOAT, _ATTRIBUTE_INT, _ATTRIBUTE_INTS = 1, 2, 7


def varint(value):
    """A protobuf varint; negative numbers as 64-bit two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field, value):
    """A varint field."""
    return varint(field << 3) + varint(value)


def chunk(field, body):
    """A length-delimited field: text, bytes or a message."""
    body = body.encode() if isinstance(body, str) else body
    return varint(field << 3 | 2) + varint(len(body)) + body


def floats(values):
    """Little-endian float32, as TensorProto.raw_data holds them."""
    return struct.pack(f"<{len(values)}f", *values)


def int64s(values):
    """Little-endian int64, as TensorProto.raw_data holds them."""
    return struct.pack(f"<{len(values)}q", *values)


def tensor(name, kind, dims, raw):
    """A TensorProto with its data inside."""
    return b"".join(number(1, d) for d in dims) + number(2, kind) + chunk(8, name) + chunk(9, raw)


def value_info(name, kind, dims):
    """A ValueInfoProto; a dimension is a number or, where it may vary, a name."""
    shape = b"".join(chunk(1, chunk(2, d) if isinstance(d, str) else number(1, d)) for d in dims)
    return chunk(1, name) + chunk(2, chunk(1, number(1, kind) + chunk(2, shape)))


def attribute(name, value):
    """An AttributeProto of a float, an int or a list of ints."""
    if isinstance(value, float):
        return chunk(1, name) + varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, _ATTRIBUTE_FLOAT)
    if isinstance(value, int):
        return chunk(1, name) + number(3, value) + number(20, _ATTRIBUTE_INT)
    return chunk(1, name) + b"".join(number(8, v) for v in value) + number(20, _ATTRIBUTE_INTS)


class Graph:
    """A network under construction: nodes in the order they run, constants in the order they are first used."""

    def __init__(self, name):
        self.name = name
        self.nodes = []
        self.constants = {}
        self.inputs = []
        self.outputs = []

    def node(self, op, inputs, output, domain="", **attributes):
        """Appends one node with one output and returns the output's name."""
        body = b"".join(chunk(1, i) for i in inputs) + chunk(2, output) + chunk(3, output) + chunk(4, op)
        body += b"".join(chunk(5, attribute(k, v)) for k, v in sorted(attributes.items()))
        self.nodes.append(body + (chunk(7, domain) if domain else b""))
        return output

    def constant(self, name, kind, dims, raw):
        """A constant by name; asking again for a name that exists gives the first."""
        self.constants.setdefault(name, tensor(name, kind, dims, raw))
        return name

    def scalar(self, name, value):
        """One float32."""
        return self.constant(name, FLOAT, [], floats([value]))

    def ints(self, name, values):
        """A vector of int64."""
        return self.constant(name, INT64, [len(values)], int64s(values))

    def serialise(self, producer, extra=b""):
        """The whole file. `extra` is appended to the graph as it is: tests write malformed models with it."""
        parts = [chunk(1, n) for n in self.nodes] + [chunk(2, self.name)]
        parts += [chunk(5, c) for c in self.constants.values()]
        parts += [chunk(11, i) for i in self.inputs] + [chunk(12, o) for o in self.outputs] + [extra]
        opset = number(2, OPSET)
        return number(1, IR_VERSION) + chunk(2, producer) + chunk(7, b"".join(parts)) + chunk(8, opset)
