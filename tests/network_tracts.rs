//! Streamlines of .tck and .trk files, counted between regions as nibabel and numpy count them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use neurod::datasets::networks::read;
use neurod::datasets::tracts::{Labels, count};

const SCRIPT: &str = r#"
import json, numpy as np, nibabel as nib
from nibabel.streamlines import Tractogram, TckFile, TrkFile, load
rng = np.random.default_rng(0)
labels = rng.integers(0, 5, size=(9, 10, 11)).astype(np.int16) * 3
affine = np.array([[-2., .1, 0, 9], [.1, 2.5, 0, -12], [0, 0, 3., -15], [0, 0, 0, 1]])
nib.save(nib.Nifti1Image(labels, affine), 'sub-01_dseg.nii.gz')
lines = []
for k in range(300):
    n = int(rng.integers(2, 30))
    voxels = np.cumsum(rng.normal(size=(n, 3)), 0) + rng.uniform(0, 9, size=3)
    lines.append((voxels @ affine[:3, :3].T + affine[:3, 3]).astype(np.float32))
def counted(lines, least):
    names = np.unique(labels[labels > 0])
    m = np.zeros((len(names), len(names)))
    inv = np.linalg.inv(affine)
    for line in lines:
        if len(line) < least: continue
        found = []
        for p in (line[0], line[-1]):
            v = np.floor(inv[:3, :3] @ p.astype(float) + inv[:3, 3] + .5).astype(int)
            inside = (v >= 0).all() and (v < labels.shape).all()
            l = labels[tuple(v)] if inside else 0
            found.append(int(np.searchsorted(names, l)) if l else None)
        i, j = found
        if i is not None and j is not None and i != j:
            m[i, j] += 1; m[j, i] += 1
        for e in {i, j} - {None}: m[e, e] += 1
    return m.tolist()
nib.streamlines.save(Tractogram(lines, affine_to_rasmm=np.eye(4)), 'a.tck')
for order in ('LAS', 'RAS', 'LPI'):
    header = {'voxel_to_rasmm': affine.astype(np.float32), 'voxel_sizes': nib.affines.voxel_sizes(affine).astype(np.float32),
              'dimensions': labels.shape, 'voxel_order': order.encode()}
    t = Tractogram(lines, affine_to_rasmm=np.eye(4), data_per_streamline={'p': np.ones((len(lines), 2))},
                   data_per_point={'s': [np.ones((len(l), 1)) for l in lines]})
    TrkFile(t, header).save(f'{order}.trk')
from_trk = {o: counted(load(f'{o}.trk').streamlines, 11) for o in ('LAS', 'RAS', 'LPI')}
raw = b''.join(np.vstack([l, [[np.nan] * 3]]).astype('>f8').tobytes() for l in lines) + np.full(3, np.inf, '>f8').tobytes()
head = b'mrtrix tracks\ndatatype: Float64BE\ncount: 300\nfile: . 100\nEND\n'
open('big.tck', 'wb').write(head.ljust(100, b'\0') + raw)
json.dump({'tck': counted(load('a.tck').streamlines, 11), 'all': counted(load('a.tck').streamlines, 1), **from_trk,
           'short': sum(len(l) < 11 for l in lines)}, open('expected.json', 'w'))
"#;

#[test]
fn streamlines_of_both_formats_orders_and_byte_orders() {
    let Some(python) = common::python(&["nibabel"]) else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let output = Command::new(python).current_dir(folder).args(["-W", "ignore", "-c", SCRIPT]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("expected.json")).unwrap()).unwrap();
    let labels = Labels::read(&folder.join("sub-01_dseg.nii.gz")).unwrap();
    assert_eq!(labels.labels, [3, 6, 9, 12]);
    let cases = [
        ("a.tck", "tck", 11),
        ("a.tck", "all", 1),
        ("big.tck", "tck", 11),
        ("LAS.trk", "LAS", 11),
        ("RAS.trk", "RAS", 11),
        ("LPI.trk", "LPI", 11),
    ];
    for (file, key, least) in cases {
        let counts = count(&folder.join(file), &labels, least).unwrap();
        let rows: Vec<Vec<f64>> = serde_json::from_value(expected[key].clone()).unwrap();
        let got: Vec<Vec<f64>> = counts.matrix.rows().into_iter().map(|row| row.to_vec()).collect();
        assert_eq!(got, rows, "{file} {key}");
        assert_eq!(counts.streamlines, 300, "{file}");
        let short = if least == 11 { expected["short"].as_u64().unwrap() } else { 0 };
        assert_eq!(counts.short as u64, short);
    }

    let says = |name: &str, bytes: &[u8]| {
        fs::write(folder.join(name), bytes).unwrap();
        count(&folder.join(name), &labels, 11).unwrap_err().to_string()
    };
    let tck = fs::read(folder.join("a.tck")).unwrap();
    let trk = fs::read(folder.join("LAS.trk")).unwrap();
    assert!(says("cut.tck", &tck[..tck.len() - 40]).contains("the file ends before its streamlines do"));
    assert!(says("cut.trk", &trk[..trk.len() - 6]).contains("the file ends within a streamline"));
    assert!(says("cut.trk", &trk[..900]).contains("the file ends in its header"));
    assert!(says("cut.trk", &trk[..1000]).contains("0 streamlines where its header says 300"));
    assert!(says("kind.tck", b"mrtrix tracks\ndatatype: Int8\nfile: . 50\nEND\n").contains("datatype \"int8\""));
    assert!(
        says("none.tck", b"mrtrix tracks\ndatatype: Float32LE\nEND\n").contains("does not say where streamlines begin")
    );
    let mut many = trk.clone();
    many[1000..1004].copy_from_slice(&i32::MAX.to_le_bytes());
    assert!(says("many.trk", &many).contains("streamline 1 of 2147483647 points"));
    let mut nowhere = trk.clone();
    nowhere[440..504].fill(0);
    assert!(says("nowhere.trk", &nowhere).contains("does not say where voxels lie"));
    let mut odd = trk;
    odd[996..1000].copy_from_slice(&77i32.to_le_bytes());
    assert!(says("odd.trk", &odd).contains("a header of 77 bytes"));
    assert!(says("text.trk", b"hello").contains("neither MRtrix's .tck nor TrackVis' .trk"));

    command(folder, &expected["tck"]);
}

fn command(folder: &Path, expected: &serde_json::Value) {
    let data = folder.join("data/sub-01");
    fs::create_dir_all(&data).unwrap();
    fs::copy(folder.join("a.tck"), data.join("sub-01_tracts.tck")).unwrap();
    fs::copy(folder.join("sub-01_dseg.nii.gz"), data.join("sub-01_dseg.nii.gz")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_neurod"))
        .current_dir(folder)
        .args(["network", "build", "data", "--kind", "streamlines", "--out", "n.npz"])
        .output()
        .unwrap();
    let says = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && says.contains("of 300 streamlines"), "{says}");
    let networks = read(&folder.join("n.npz")).unwrap();
    assert_eq!(networks.connectivity[[0, 0, 1]], expected[0][1].as_f64().unwrap());
    assert_eq!((networks.kind.as_str(), networks.regions[0].as_str()), ("streamlines", "LABEL3"));
}
