//! What lies in a .npz file? Arrays by name, as numpy.savez wrote them, of which some are features and one is responses.
//!
//! `responses` (or `Y`) is n × V. `features` (or `X`) is n × F; several feature spaces are `features.NAME` each. Lists of n
//! values become columns of runs.tsv: `runs` (or `run`), `stimuli` (or `stimulus`), `text`, `image`, `subject` and
//! `condition`. Lists of V values become columns of regions.tsv: `region`, `voxel`, `hemisphere` and `network`; and
//! `coordinates`, V × 3, is where voxels lie in mm RAS. Whatever else there is is left out, and named.

use std::path::Path;

use ndarray::Array2;

use super::archive::Archive;
use super::plain::Plain;
use super::{DatasetError, Voxel};
use crate::linalg::Real;

/// Where names differ: the column of runs.tsv, and what arrays it may come from.
const ROWS: [(&str, [&str; 2]); 6] = [
    ("run", ["runs", "run"]),
    ("stimulus", ["stimuli", "stimulus"]),
    ("text", ["text", "texts"]),
    ("image", ["image", "images"]),
    ("subject", ["subject", "subjects"]),
    ("condition", ["condition", "conditions"]),
];
/// A .npz file, opened.
pub struct Npz {
    archive: Archive,
    /// The array of responses.
    responses: String,
    /// Of each feature space its name and its array.
    features: Vec<(String, String)>,
}

impl Npz {
    /// Opens `path`, and finds its arrays: `responses` and `features` name them where they are called something else.
    ///
    /// # Errors
    /// Unreadable, no .npz file, no responses in it, or an array that is not there.
    pub fn open(path: &Path, responses: Option<&str>, features: &[String]) -> Result<Self, DatasetError> {
        let wrong = |problem: String| DatasetError::Array { path: path.display().to_string(), problem };
        let archive = Archive::open(path)?;
        let names = &archive.names;
        let there = || archive.there();
        let find = |wanted: &str| match names.contains(wanted) {
            true => Ok(wanted.to_owned()),
            false => Err(wrong(format!("no array \"{wanted}\" (there are: {})", there()))),
        };
        let responses = match responses {
            Some(name) => find(name)?,
            None => find("responses").or_else(|_| find("Y")).map_err(|_| {
                wrong(format!("no array \"responses\" or \"Y\" (name it with --responses; there are: {})", there()))
            })?,
        };
        let features = match features {
            [] => {
                let single = ["features", "X"].into_iter().filter(|name| names.contains(*name)).take(1);
                let single = single.map(|name| ("features".to_owned(), name.to_owned()));
                let several =
                    names.iter().filter_map(|name| Some((name.strip_prefix("features.")?.to_owned(), name.clone())));
                single.chain(several).collect()
            }
            named => {
                named.iter().map(|name| Ok((name.clone(), find(name)?))).collect::<Result<Vec<_>, DatasetError>>()?
            }
        };
        if let Some((odd, _)) = features.iter().find(|(name, _)| name.is_empty() || name.contains(['/', '\\', '\0'])) {
            return Err(wrong(format!("feature space \"{odd}\" cannot be a file's name")));
        }
        Ok(Self { archive, responses, features })
    }

    /// Whether the responses are of more than single precision.
    ///
    /// # Errors
    /// They are no array.
    pub fn is_double(&mut self) -> Result<bool, DatasetError> {
        let name = self.responses.clone();
        let kind = self.archive.array(&name, |header, _| Ok(header.kind.clone()))?;
        Ok(matches!(kind.get(1..), Some("f8" | "i4" | "i8" | "u4" | "u8")))
    }

    /// Reads it.
    ///
    /// # Errors
    /// An array that is not what it should be: of another shape, empty, no numbers, no text, or cut off.
    pub fn read<T: Real>(mut self) -> Result<Plain<T>, DatasetError> {
        let mut left = self.archive.names.clone();
        let mut used = |name: &str| left.remove(name);
        let matrix = |npz: &mut Self, name: &str| npz.archive.array(name, |header, input| header.matrix(input, T::of));
        let name = self.responses.clone();
        let responses = matrix(&mut self, &name)?;
        used(&name);
        let (n, v) = responses.dim();
        let mut features = Vec::new();
        for (space, name) in self.features.clone() {
            let values = matrix(&mut self, &name)?;
            self.expect(&name, values.nrows(), n)?;
            used(&name);
            features.push((space, values));
        }
        let mut rows = Vec::new();
        for (column, names) in ROWS {
            if let Some(name) = names.into_iter().find(|name| self.archive.names.contains(*name)) {
                let cells = self.archive.array(name, |header, input| header.texts(input))?;
                self.expect(name, cells.len(), n)?;
                used(name);
                rows.push((column, cells));
            }
        }
        let voxel = |v: usize| Voxel { name: v.to_string(), region: "all".into(), ..Voxel::default() };
        let mut voxels: Vec<Voxel> = (0..v).map(voxel).collect();
        type Field = fn(&mut Voxel) -> &mut String;
        let fields: [(&str, Field); 4] = [
            ("region", |voxel| &mut voxel.region),
            ("voxel", |voxel| &mut voxel.name),
            ("hemisphere", |voxel| &mut voxel.hemisphere),
            ("network", |voxel| &mut voxel.network),
        ];
        for (name, field) in fields {
            if self.archive.names.contains(name) {
                let cells = self.archive.array(name, |header, input| header.texts(input))?;
                self.expect_columns(name, cells.len(), v)?;
                used(name);
                voxels.iter_mut().zip(cells).for_each(|(voxel, cell)| *field(voxel) = cell);
            }
        }
        if self.archive.names.contains("coordinates") {
            let places: Array2<f64> =
                self.archive.array("coordinates", |header, input| header.matrix(input, |mm| mm))?;
            self.expect_columns("coordinates", places.nrows(), v)?;
            used("coordinates");
            for (voxel, place) in voxels.iter_mut().zip(places.rows()) {
                voxel.place = place.as_slice().and_then(|mm| mm.try_into().ok());
            }
        }
        let mut notes = Vec::new();
        if !left.is_empty() {
            notes.push(format!("left out: {}", left.into_iter().collect::<Vec<_>>().join(", ")));
        }
        Ok(Plain { responses, features, rows, voxels, sources: vec![self.archive.path().into()], notes })
    }

    fn expect(&self, name: &str, got: usize, expected: usize) -> Result<(), DatasetError> {
        self.rows(name, got, self.responses.clone(), expected)
    }

    fn expect_columns(&self, name: &str, got: usize, expected: usize) -> Result<(), DatasetError> {
        self.rows(name, got, format!("a row of {}", self.responses), expected)
    }

    fn rows(&self, name: &str, got: usize, other: String, expected: usize) -> Result<(), DatasetError> {
        match got == expected {
            true => Ok(()),
            false => Err(DatasetError::Rows {
                path: format!("{}:{name}", self.archive.path().display()),
                got,
                other,
                expected,
            }),
        }
    }
}
