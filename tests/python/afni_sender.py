"""Sends a 4D NIfTI as AFNI's real-time senders do (README.realtime), and says what its regions are.

afni_sender.py BOLD LABELS CONTROL_PORT DATA_PORT OPTIONS, where OPTIONS is JSON: `slices` (alt, seq, or none: whole
volumes), `datum`, `big`, `oblique`, `channels`, `sets` (data sets on one connection), `pace` (seconds a volume), `cut`
(bytes that the last volume lacks).
"""
import json
import socket
import sys
import time

import nibabel as nib
import numpy as np

bold, labels, control, data = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
options = json.loads(sys.argv[5])
image = nib.load(bold)
values = np.asanyarray(image.dataobj)
nx, ny, nz, count = values.shape
sizes = nib.affines.voxel_sizes(image.affine)

commands = ["DRIVE_AFNI OPEN_WINDOW axialimage", "NOTE a phantom", "PREFIX bold"]
channels = options.get("channels", 1)
if channels > 1:
    commands.append(f"NUM_CHAN {channels}")
slices = options.get("slices")
commands += ["ACQUISITION_TYPE " + ("2D+zt" if slices else "3D+timing")]
if slices:
    commands.append(f"ZORDER {slices}")
commands += [f"TR {image.header.get_zooms()[3]}", f"XYMATRIX {nx} {ny}", f"ZNUM {nz}"]
commands.append("XYFOV %f %f %f" % tuple(sizes * (nx, ny, nz)))
datum, big = options.get("datum", "short"), options.get("big", False)
commands += [f"DATUM {datum}", "BYTEORDER " + ("MSB_FIRST" if big else "LSB_FIRST")]
# AFNI's directions are DICOM's: right, anterior and inferior are negative.
lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
if options.get("oblique"):
    commands.append("XYZAXES R-L A-P I-S")
    commands.append("OBLIQUE_XFORM " + " ".join(f"{v:.6f}" for v in lps.ravel()))
else:
    ends = {0: ("R", "L"), 1: ("A", "P"), 2: ("I", "S")}
    axes, first = [], []
    for axis in range(3):
        along = int(np.argmax(np.abs(lps[:3, axis])))
        negative, positive = ends[along]
        axes.append(f"{negative}-{positive}" if lps[along, axis] > 0 else f"{positive}-{negative}")
        place = lps[along, 3]
        first.append(f"{abs(place):.4f}{negative if place < 0 else positive}")
    commands += ["XYZAXES " + " ".join(axes), "XYZFIRST " + " ".join(first)]

dtype = np.dtype({"byte": "u1", "short": "i2", "float": "f4"}[datum]).newbyteorder(">" if big else "<")


def images(volume):
    """The images of one volume, as they are sent: of channel c the values are 1000 (c − 1) higher."""
    for of in [range(nz)] if not slices else [[z] for z in (list(range(0, nz, 2)) + list(range(1, nz, 2)) if slices == "alt" else range(nz))]:
        for channel in range(channels):
            yield np.concatenate([(values[:, :, z, volume] + 1000 * channel).ravel(order="F") for z in of]).astype(dtype).tobytes()


with socket.create_connection(("127.0.0.1", control)) as link:
    link.sendall(f"tcp:localhost:{data}\0".encode())
with socket.create_connection(("127.0.0.1", data)) as link:
    for number in range(options.get("sets", 1)):
        link.sendall("\n".join(commands).encode() + b"\n\0")
        size = 0
        for volume in range(count):
            last = number + 1 == options.get("sets", 1) and volume + 1 == count
            sent = list(images(volume))
            size = len(sent[0])
            whole = b"".join(sent)
            link.sendall(whole[: len(whole) - options.get("cut", 0)] if last else whole)
            time.sleep(options.get("pace", 0))
        if number + 1 < options.get("sets", 1):
            link.sendall(b"Et Earello Endorenna utulien!!".ljust(size, b"\0"))

atlas = np.asanyarray(nib.load(labels).dataobj)
names = [label for label in np.unique(atlas) if label]
print(json.dumps([[float(values[..., volume][atlas == label].mean()) for label in names] for volume in range(count)]))
