"""Reads the weights in a .pth file as PyTorch wrote them before 1.6, with nothing but the standard library.

A .pth is a pickle, and unpickling runs what the file tells it to. Here a file may name four things, an ordered dict, a
tensor, and storages of float32 and int64, and gets plain records for them; anything else is refused. The format: five
pickles (a magic number, a protocol, sizes, the state dict, the keys of its storages), then each storage in the order of
the keys, as 8 bytes of length and little-endian elements. A tensor is a view of a storage: offset, shape, strides.
"""

import array
import collections
import itertools
import pickle
import sys
import typing

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
STORAGES = {"FloatStorage": "f", "LongStorage": "q"}


class Tensor(typing.NamedTuple):
    """A view of a storage; strides in elements."""

    storage: str
    offset: int
    shape: tuple
    strides: tuple


class Reader(pickle.Unpickler):
    """Unpickles tensors and nothing else."""

    def __init__(self, file):
        super().__init__(file)
        self.storages = {}

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: Tensor(storage, offset, tuple(shape), tuple(strides))
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is no tensor")

    def persistent_load(self, identity):
        kind, code, key, _, count, view = identity
        if kind != "storage" or code not in STORAGES.values() or view is not None:
            raise pickle.UnpicklingError(f"it refers to {identity!r}, which is no plain storage")
        self.storages[key] = code, count
        return key


class Weights:
    """The tensors of a .pth file by name."""

    def __init__(self, path):
        self.path = path
        try:
            with open(path, "rb") as file:
                if Reader(file).load() != MAGIC or Reader(file).load() != PROTOCOL:
                    raise pickle.UnpicklingError("it is no state dict of PyTorch before 1.6")
                Reader(file).load()
                reader = Reader(file)
                self.tensors = dict(reader.load())
                self.storages = {key: self.storage(file, *reader.storages[key]) for key in Reader(file).load()}
        except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
            sys.exit(f"{path}: {error}")
        self.unused = {name for name in self.tensors if not name.endswith(".num_batches_tracked")}

    @staticmethod
    def storage(file, code, count):
        """The elements of the next storage."""
        elements = array.array(code)
        if int.from_bytes(file.read(8), "little") != count:
            raise ValueError("a storage has another length than announced")
        elements.fromfile(file, count)
        if sys.byteorder == "big":
            elements.byteswap()
        return elements

    def read(self, name, *shape):
        """The little-endian float32 bytes of one tensor of exactly this shape, laid out row by row."""
        tensor = self.tensors.get(name)
        if not isinstance(tensor, Tensor) or tensor.shape != shape:
            sys.exit(f"{self.path}: weight {name}: expected {shape}, found {getattr(tensor, 'shape', 'none')}")
        self.unused.discard(name)
        elements = self.storages[tensor.storage]
        axes = [(size, stride) for size, stride in zip(tensor.shape, tensor.strides) if size != 1]
        last = max((size - 1) * stride for size, stride in axes) if axes else 0
        if elements.typecode != "f" or tensor.offset + last >= len(elements) or any(stride < 1 for _, stride in axes):
            sys.exit(f"{self.path}: weight {name}: not a view of float32 values")
        *outer, (size, stride) = axes or [(1, 1)]
        out = array.array("f")
        for steps in itertools.product(*(range(0, count * step, step) for count, step in outer)):
            begin = tensor.offset + sum(steps)
            out.extend(elements[begin : begin + (size - 1) * stride + 1 : stride])
        if len(out) != _product(shape):
            sys.exit(f"{self.path}: weight {name}: its storage is too short")
        if sys.byteorder == "big":
            out.byteswap()
        return out.tobytes()


def _product(shape):
    count = 1
    for size in shape:
        count *= size
    return count
