"""One tree of values, saved as MATLAB saves it: version 5 by scipy, plain and compressed, version 5 of the other byte
order by hand (and checked by reading it with scipy), version 7.3 as HDF5 by h5py. usage: mat_files.py FOLDER"""
import itertools
import json
import struct
import sys
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import scipy.sparse


def cells(*items):
    out = np.empty((len(items), 1), object)
    for i, item in enumerate(items):
        out[i, 0] = item
    return out


TREE = {
    "examples": np.arange(12.0).reshape(4, 3) / 7,
    "narrow": np.array([[1.5, -2.25]], np.float32),
    "cube": np.arange(24, dtype=np.int16).reshape(2, 3, 4),
    "large": np.array([[2**40], [-3]], np.int64),
    "mask": np.array([[True, False, True]]),
    "nothing": np.zeros((0, 0)),
    "word": "naïve café",
    "keys": cells("apartment", "ball", "a dog"),
    "meta": {
        "atlases": cells("languageLH", "DMN"),
        "columns": cells(cells(np.array([[1.0], [3.0]]), np.array([[2.0]])), cells(np.array([[4.0, 5.0]]))),
        "inner": {"deep": np.array([[42.0]]), "name": "x"},
    },
    "runs": [{"n": np.array([[1.0]]), "tag": "one"}, {"n": np.array([[2.0]]), "tag": "two"}],
}


def plain(value):
    """What a reader should make of it."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return {name: [plain(field)] for name, field in value.items()}
    if isinstance(value, list):
        return {name: [plain(one[name]) for one in value] for name in value[0]}
    if value.dtype == object:
        return {"cells": [plain(item) for item in value.ravel(order="F")]}
    return {"shape": list(value.shape), "values": value.astype(float).ravel(order="F").tolist()}


def scipy_form(value):
    if isinstance(value, dict):
        return {name: scipy_form(field) for name, field in value.items()}
    if isinstance(value, list):
        out = np.zeros((1, len(value)), [(name, object) for name in value[0]])
        for i, one in enumerate(value):
            for name in one:
                out[name][0, i] = scipy_form(one[name])
        return out
    if isinstance(value, np.ndarray) and value.dtype == object:
        out = np.empty(value.shape, object)
        for i, item in np.ndenumerate(value):
            out[i] = scipy_form(item)
        return out
    return value


def element(kind, data):
    return struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)


KINDS = {"f8": (6, 9), "f4": (7, 7), "i2": (10, 3), "i8": (14, 12), "u1": (9, 2), "b1": (9, 2)}


def big_endian(name, value):
    if isinstance(value, str):
        text = value.encode("utf-16-be")
        return header(name, 4, (1, len(value)), element(17, text))
    if isinstance(value, (dict, list)):
        many = value if isinstance(value, list) else [value]
        names = list(many[0])
        body = struct.pack(">HHI", 4, 5, 32) + element(1, b"".join(n.encode().ljust(32, b"\0") for n in names))
        body += b"".join(big_endian("", one[field]) for one in many for field in names)
        return header(name, 2, (1, len(many)), body)
    if value.dtype == object:
        return header(name, 1, value.shape, b"".join(big_endian("", item) for item in value.ravel(order="F")))
    of, stored = KINDS[value.dtype.str[1:]]
    data = value.astype(value.dtype.newbyteorder(">")).tobytes(order="F")
    return header(name, of, value.shape, element(stored, data), 0x200 if value.dtype == bool else 0)


def header(name, of, shape, body, flags=0):
    inner = element(6, struct.pack(">II", of | flags, 0))
    inner += element(5, struct.pack(f">{len(shape)}i", *shape))
    text = name.encode()
    inner += struct.pack(">HH", len(text), 1) + text.ljust(4, b"\0") if 0 < len(text) <= 4 else element(1, text)
    return struct.pack(">II", 14, len(inner + body)) + inner + body


def hdf5(path, tree):
    with h5py.File(path, "w", userblock_size=512) as file:
        refs, numbers = file.create_group("#refs#"), itertools.count()

        def put(group, name, value):
            if isinstance(value, str):
                data = np.frombuffer(value.encode("utf-16-le"), np.uint16)
                place = group.create_dataset(name, data=data.reshape(-1, 1))
                place.attrs["MATLAB_class"] = np.bytes_("char")
                place.attrs["MATLAB_int_decode"] = np.int32(2)
            elif isinstance(value, dict):
                place = group.create_group(name)
                place.attrs["MATLAB_class"] = np.bytes_("struct")
                for field in value:
                    put(place, field, value[field])
            elif isinstance(value, list):
                place = group.create_group(name)
                place.attrs["MATLAB_class"] = np.bytes_("struct")
                for field in value[0]:
                    to = [[refer(one[field])] for one in value]
                    place.create_dataset(field, data=np.array(to, h5py.ref_dtype))
            elif value.dtype == object:
                to = np.empty(value.shape, h5py.ref_dtype)
                for i, item in np.ndenumerate(value):
                    to[i] = refer(item)
                place = group.create_dataset(name, data=to.T)
                place.attrs["MATLAB_class"] = np.bytes_("cell")
            elif value.size == 0:
                place = group.create_dataset(name, data=np.array(value.shape, np.uint64))
                place.attrs["MATLAB_class"] = np.bytes_("double")
                place.attrs["MATLAB_empty"] = np.uint8(1)
            else:
                of = {"float64": "double", "float32": "single", "bool": "logical"}.get(value.dtype.name, value.dtype.name)
                data = value.astype(np.uint8) if value.dtype == bool else value
                packed = {"compression": "gzip", "chunks": True} if value.size > 3 else {}
                place = group.create_dataset(name, data=data.T, **packed)
                place.attrs["MATLAB_class"] = np.bytes_(of)
            return place

        def refer(value):
            return put(refs, f"r{next(numbers)}", value).ref

        for name in tree:
            put(file, name, tree[name])
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created by a test HDF5 schema 1.00 .".ljust(116)
    with open(path, "r+b") as file:
        file.write(text + bytes(8) + b"\x00\x02IM")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    tree = {name: scipy_form(value) for name, value in TREE.items()}
    scipy.io.savemat(folder / "plain.mat", tree)
    scipy.io.savemat(folder / "compressed.mat", tree, do_compression=True)
    with open(folder / "big.mat", "wb") as file:
        file.write(b"MATLAB 5.0 MAT-file, written by a test".ljust(116) + bytes(8) + b"\x01\x00MI")
        file.write(b"".join(big_endian(name, value) for name, value in TREE.items()))
    hdf5(folder / "v73.mat", TREE)
    assert set(scipy.io.loadmat(folder / "big.mat")) >= set(TREE), "the other byte order is not what scipy reads"
    np.testing.assert_array_equal(scipy.io.loadmat(folder / "big.mat")["cube"], TREE["cube"])
    assert scipy.io.loadmat(folder / "big.mat", simplify_cells=True)["meta"]["inner"]["name"] == "x"
    (folder / "tree.json").write_text(json.dumps({name: plain(value) for name, value in TREE.items()}))
    odd = {"sparse": scipy.sparse.csc_matrix(np.eye(3)), "complex": np.array([[1 + 2j]]), "fine": np.eye(2)}
    scipy.io.savemat(folder / "odd.mat", odd)
    scipy.io.savemat(folder / "four.mat", {"x": np.eye(2)}, format="4")
