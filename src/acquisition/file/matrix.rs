//! How does an atlas come into the space of the volumes? By a 4×4 matrix in a text file.

use std::path::Path;

use super::input::{at_line, read_text};
use crate::acquisition::SourceError;

/// The most bytes that such a file may have.
const CAP: u64 = 1 << 16;

/// The first three rows of a matrix from the atlas's mm to those of the volumes (RAS): four lines of four numbers, the last
/// of them `0 0 0 1`. Empty lines, and those that begin with `#`, are passed over.
///
/// # Errors
/// A file that cannot be read, that is another kind of transform, or is no such matrix, by line.
pub(super) fn read_matrix(path: &Path) -> Result<[[f64; 4]; 3], SourceError> {
    let text = read_text(path, CAP)?;
    let mut rows: Vec<[f64; 4]> = Vec::with_capacity(4);
    for (line, text) in text.lines().enumerate() {
        let line = line + 1;
        if text.contains("Insight Transform") {
            let problem = "an ITK transform, which counts in LPS (save it as a 4×4 matrix in RAS: c3d_affine_tool -o)";
            return Err(at_line(path, line, problem));
        }
        if text.trim().is_empty() || text.trim_start().starts_with('#') {
            continue;
        }
        let numbers = text.split([' ', '\t', ',']).filter(|part| !part.is_empty()).map(str::parse::<f64>);
        let numbers: Vec<f64> = numbers.map(|n| n.ok().filter(|n| n.is_finite()).unwrap_or(f64::NAN)).collect();
        match <[f64; 4]>::try_from(numbers) {
            Ok(row) if rows.len() < 4 && row.iter().all(|n| n.is_finite()) => rows.push(row),
            _ => return Err(at_line(path, line, "not four lines of four numbers each: a 4×4 matrix in mm, RAS")),
        }
    }
    match rows[..] {
        [a, b, c, [0.0, 0.0, 0.0, 1.0]] => Ok([a, b, c]),
        _ => Err(at_line(path, 4, "the matrix has four lines, the last of them 0 0 0 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_lines_are_a_matrix_and_anything_else_is_told_by_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("affine.txt");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("written");
            read_matrix(&path).map_err(|error| error.to_string())
        };
        let fine = read("# to the EPI\n1 0 0 -3.5\n0\t1 0 2\n\n0, 0, 1, 1e1\n0 0 0 1\n");
        assert_eq!(fine, Ok([[1.0, 0.0, 0.0, -3.5], [0.0, 1.0, 0.0, 2.0], [0.0, 0.0, 1.0, 10.0]]));
        for (text, problem) in [
            ("1 0 0\n", "line 1: not four lines of four numbers"),
            ("1 0 0 0\n0 1 0 0\n0 0 nan 0\n0 0 0 1\n", "line 3: not four lines"),
            ("1 0 0 0\n0 1 0 0\n0 0 1 0\n", "line 4: the matrix has four lines"),
            ("1 0 0 0\n0 1 0 0\n0 0 1 0\n1 0 0 1\n", "the last of them 0 0 0 1"),
            ("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n0 0 0 1\n", "line 5: not four lines"),
            ("#Insight Transform File V1.0\n", "line 1: an ITK transform, which counts in LPS"),
        ] {
            let told = read(text).expect_err(text);
            assert!(told.contains(problem), "{told}");
        }
    }
}
