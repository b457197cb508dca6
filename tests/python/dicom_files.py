"""DICOM files of every flavour, and what nibabel and dcm2niix read in them: dicom_files.py FOLDER.

Writes FOLDER/cases.json: {case: {"files": [...], "oracles": [{"by", "dims", "affine", "values": FILE of f64}]}}. Values are
in the order of memory that NIfTI has (x fastest), affines are RAS.
"""

import gzip
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import nibabel
import pydicom
import pydicom.data
from nibabel.nicom import dicomwrappers
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (EnhancedMRImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian,
                         MRImageStorage, generate_uid)

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(6)
cases = {}


def rotation(a, b, c):
    """Columns are the directions of x, y and z in LPS."""
    ca, sa, cb, sb, cc, sc = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.cos(c), np.sin(c)
    x = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
    y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    z = np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    return z @ y @ x


def numbers(values):
    return [f"{v:.10g}" for v in values]


def base(rows, columns, bits, stored, signed, sop=MRImageStorage):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(rng.integers(1 << 60))])
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = sop, meta.MediaStorageSOPInstanceUID
    ds.Modality, ds.Manufacturer = "MR", "SIEMENS"
    ds.PatientName, ds.PatientID = "Doe^Jane", "123"
    ds.StudyDate, ds.StudyTime = "20260228", "101500"
    ds.AcquisitionDate, ds.AcquisitionTime = "20260228", "101502.5"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"
    ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = 7, 3, 3
    ds.SeriesDescription, ds.ProtocolName = "bold_task", "bold_task"
    ds.RepetitionTime, ds.EchoTime, ds.EchoNumbers = "1500", "30", 1
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, stored, stored - 1
    ds.PixelRepresentation = int(signed)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    return ds


def save(ds, name, syntax):
    ds.file_meta.TransferSyntaxUID = syntax
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    ds.set_original_encoding(implicit, little)
    ds.save_as(out / name, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    return name


def pixels(ds, array, big):
    kind = np.dtype(f"{'i' if ds.PixelRepresentation else 'u'}{ds.BitsAllocated // 8}").newbyteorder(">" if big else "<")
    data = np.ascontiguousarray(array).astype(kind).tobytes()
    ds.add_new(0x7FE00010, "OW" if ds.BitsAllocated > 8 else "OB", data)


def draw(shape, stored, signed):
    low, high = (-(1 << (stored - 1)), (1 << (stored - 1)) - 1) if signed else (0, (1 << stored) - 1)
    return rng.integers(low, high, size=shape, endpoint=True)


def ras(affine):
    return np.diag([-1, -1, 1, 1]) @ affine


def oracle(case, by, data, affine):
    file = f"{case}.{by}.{len(cases[case]['oracles'])}.f64"
    (out / file).write_bytes(np.asarray(data, "<f8").tobytes(order="F"))
    cases[case]["oracles"].append({"by": by, "dims": list(data.shape), "affine": affine[:3].tolist(), "values": file})


def truth(case, data, affine):
    """What the files were made from."""
    oracle(case, "truth", data, affine)


def from_nibabel(case, ds):
    """One file; nibabel's first axis goes down the columns."""
    wrapper = dicomwrappers.wrapper_from_data(ds)
    data, affine = np.asarray(wrapper.get_data(), "f8"), wrapper.affine
    if data.ndim == 2:
        data = data[..., None]
    affine = ras(affine)
    affine[:, [0, 1]] = affine[:, [1, 0]]
    oracle(case, "nibabel", data.swapaxes(0, 1), affine)


def from_dcm2niix(case, needed=True):
    folder = out / f"{case}.nii"
    folder.mkdir()
    source = out / f"{case}.in"
    source.mkdir()
    for name in cases[case]["files"]:
        (source / Path(name).name).write_bytes((out / name).read_bytes())
    import dcm2niix
    done = subprocess.run([dcm2niix.bin, "-z", "n", "-b", "n", "-f", "v", "-o", folder, source], capture_output=True, text=True)
    images = sorted(folder.glob("*.nii"))
    if not images and needed:
        sys.exit(f"dcm2niix gave nothing for {case}: {done.stdout} {done.stderr}")
    for image in images:
        image = nibabel.load(image)
        data = image.get_fdata()
        for volume in np.moveaxis(data, 3, 0) if data.ndim == 4 else [data]:
            oracle(case, "dcm2niix", volume, image.affine)


def geometry(shape, spacing, angles, origin, flip=1):
    r = rotation(*angles)
    r[:, 2] *= flip
    affine = np.eye(4)
    affine[:3, :3] = r * spacing
    affine[:3, 3] = origin
    return affine


def classic(case, stored, signed, bits, syntax, slope, intercept, angles):
    nx, ny, nz = 7, 5, 4
    data = draw((nx, ny, nz), stored, signed)
    affine = geometry((nx, ny, nz), [2.5, 3.0, 3.6], angles, [-31.5, -20.25, 11.0])
    cases[case] = {"files": [], "oracles": []}
    for k in rng.permutation(nz):
        ds = base(ny, nx, bits, stored, signed)
        ds.InstanceNumber = int(k) + 1
        ds.PixelSpacing = numbers([3.0, 2.5])
        ds.ImageOrientationPatient = numbers([*affine[:3, 0] / 2.5, *affine[:3, 1] / 3.0])
        ds.ImagePositionPatient = numbers(affine[:3, 3] + k * affine[:3, 2])
        ds.SliceThickness, ds.SpacingBetweenSlices = "3.0", "3.6"
        if slope is not None:
            ds.RescaleSlope, ds.RescaleIntercept = str(slope), str(intercept)
        pixels(ds, data[:, :, k].T, syntax == ExplicitVRBigEndian)
        cases[case]["files"].append(save(ds, f"{case}-{k}.dcm", syntax))
    scaled = data * (slope or 1.0) + (intercept or 0.0)
    truth(case, scaled, ras(affine))
    from_dcm2niix(case)


def csa(tags, version):
    """A CSA header, as nibabel reads it."""
    kinds = {"AcquisitionMatrixText": b"SH", "NumberOfImagesInMosaic": b"US"}
    body = b""
    first = len(next(iter(tags.values())))
    for name, values in tags.items():
        body += struct.pack("<64si4s3i", name.encode(), len(values), kinds.get(name, b"FD"), 4, len(values), 77)
        for value in values:
            text = value.encode() + b"\0"
            body += struct.pack("<4i", *((len(text), len(text), 77, 77) if version == 2 else (len(text) + first, len(text), 77, 0)))
            body += text + b"\0" * (-len(text) % 4)
    start = b"SV10\4\3\2\1" if version == 2 else b""
    return start + struct.pack("<2I", len(tags), 77) + body


def mosaic(case, version, flip, slices=7):
    nx, ny, nz = 6, 8, slices
    side = int(np.ceil(np.sqrt(nz)))
    data = draw((nx, ny, nz), 12, False)
    affine = geometry((nx, ny, nz), [3.0, 3.25, 4.0], (0.2, -0.1, 0.3), [-90.0, -80.0, -30.0], flip)
    slab = np.zeros((ny * side, nx * side), int)
    for k in range(nz):
        r, c = divmod(k, side)
        slab[r * ny:(r + 1) * ny, c * nx:(c + 1) * nx] = data[:, :, k].T
    ds = base(*slab.shape, 16, 12, False)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    ds.PixelSpacing = numbers([3.25, 3.0])
    ds.ImageOrientationPatient = numbers([*affine[:3, 0] / 3.0, *affine[:3, 1] / 3.25])
    corner = affine[:3, 3] - affine[:3, 0] * nx * (side - 1) / 2 - affine[:3, 1] * ny * (side - 1) / 2
    ds.ImagePositionPatient = numbers(corner)
    ds.SliceThickness, ds.SpacingBetweenSlices = "3.5", "4.0"
    if version:
        normal = [f"{v:.8f}" for v in affine[:3, 2] / 4.0]
        header = csa({"EchoLinePosition": ["1", "2"], "NumberOfImagesInMosaic": [str(nz)], "SliceNormalVector": normal,
                      "AcquisitionMatrixText": [f"{nx}*{ny}"]}, version)
        ds.add_new(0x00290010, "LO", "SIEMENS CSA HEADER")
        ds.add_new(0x00291010, "OB", header + b"\0" * (len(header) % 2))
    else:
        ds.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
        ds.add_new(0x0019100A, "US", nz)
    pixels(ds, slab, False)
    cases[case] = {"files": [save(ds, f"{case}.dcm", ExplicitVRLittleEndian)], "oracles": []}
    truth(case, data, ras(affine))
    if version == 2:  # Of version 1, nibabel takes the base of lengths from the second tag, SPM from the first.
        from_nibabel(case, pydicom.dcmread(out / f"{case}.dcm"))
        from_dcm2niix(case)


def enhanced(case, times, syntax, undefined):
    nx, ny, nz = 5, 6, 3
    data = draw((nx, ny, nz, times), 16, False)
    affine = geometry((nx, ny, nz), [2.0, 2.2, 3.0], (-0.3, 0.2, 0.1), [10.0, -20.0, 30.0])
    ds = base(ny, nx, 16, 16, False, EnhancedMRImageStorage)
    del ds.EchoNumbers
    ds.Manufacturer = "Philips"
    ds.NumberOfFrames = nz * times
    shared, frames, planes = Dataset(), [], []
    orientation, measures, timing = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = numbers([*affine[:3, 0] / 2.0, *affine[:3, 1] / 2.2])
    measures.PixelSpacing, measures.SliceThickness, measures.SpacingBetweenSlices = numbers([2.2, 2.0]), "3", "3"
    timing.RepetitionTime = "1500"
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([orientation]), Sequence([measures])
    shared.MRTimingAndRelatedParametersSequence = Sequence([timing])
    slopes = [1.0] * times if syntax is None else [0.5 + 0.25 * t for t in range(times)]
    for t in range(times):
        for k in rng.permutation(nz):
            frame, position, content, value = Dataset(), Dataset(), Dataset(), Dataset()
            position.ImagePositionPatient = numbers(affine[:3, 3] + k * affine[:3, 2])
            content.StackID, content.InStackPositionNumber, content.TemporalPositionIndex = "1", int(k) + 1, t + 1
            content.DimensionIndexValues = [1, int(k) + 1, t + 1]
            value.RescaleIntercept, value.RescaleSlope, value.RescaleType = "-3", str(slopes[t]), "US"
            frame.PlanePositionSequence, frame.FrameContentSequence = Sequence([position]), Sequence([content])
            frame.PixelValueTransformationSequence = Sequence([value])
            frames.append(frame)
            planes.append(data[:, :, k, t].T)
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    for sequence in (ds["SharedFunctionalGroupsSequence"], ds["PerFrameFunctionalGroupsSequence"]):
        sequence.is_undefined_length = undefined
        for item in sequence.value:
            item.is_undefined_length_sequence_item = undefined
    pixels(ds, np.stack(planes), syntax == ExplicitVRBigEndian)
    cases[case] = {"files": [save(ds, f"{case}.dcm", syntax)], "oracles": []}
    for t in range(times):
        truth(case, data[..., t] * slopes[t] - 3.0, ras(affine))


def real(case, data, needed=True):
    cases[case] = {"files": [f"{case}.dcm"], "oracles": []}
    (out / f"{case}.dcm").write_bytes(data)
    from_nibabel(case, pydicom.dcmread(out / f"{case}.dcm"))
    from_dcm2niix(case, needed)


classic("signed16", 16, True, 16, ExplicitVRLittleEndian, 2.5, -100.0, (0.1, 0.2, -0.3))
classic("big12", 12, False, 16, ExplicitVRBigEndian, None, None, (1.4, 0.2, 0.1))
classic("implicit16", 16, False, 16, ImplicitVRLittleEndian, 0.5, 7.0, (0.0, 0.0, 0.0))
mosaic("mosaic2", 2, 1)
mosaic("mosaic2-down", 2, -1)
mosaic("mosaic1", 1, 1, slices=9)
mosaic("mosaic-without-csa", 0, 1)
enhanced("enhanced", 2, ExplicitVRLittleEndian, False)
enhanced("enhanced-delimited", 1, ImplicitVRLittleEndian, True)
enhanced("enhanced-big", 1, ExplicitVRBigEndian, True)
shipped = Path(nibabel.__file__).parent / "nicom" / "tests" / "data"
real("siemens-0", gzip.decompress((shipped / "siemens_dwi_0.dcm.gz").read_bytes()))
real("siemens-1000", gzip.decompress((shipped / "siemens_dwi_1000.dcm.gz").read_bytes()))
for name in ["MR_small", "MR_small_bigendian", "MR_small_implicit", "MR_small_padded"]:
    real(name, Path(pydicom.data.get_testdata_file(f"{name}.dcm")).read_bytes())
refused = {}
for name in ["MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless", "MR_truncated"]:
    (out / f"{name}.dcm").write_bytes(Path(pydicom.data.get_testdata_file(f"{name}.dcm")).read_bytes())
    refused[name] = f"{name}.dcm"
(out / "cases.json").write_text(json.dumps({"cases": cases, "refused": refused}))
