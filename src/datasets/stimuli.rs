//! What was shown in each sample? The text or picture that runs.tsv names, or stimuli.tsv where there is one.
//!
//! stimuli.tsv has a row a stimulus: its name in the column `stimulus`, as runs.tsv has it, and what it is in `text` or
//! `image`. Without names to join by, it has a row a sample, in the same order.

use std::collections::BTreeMap;
use std::path::Path;

use super::DatasetError;
use super::folder::sha256;
use crate::acquisition::file::{Tsv, TsvRow};

/// What a list says of one stimulus: a cell for each column that was asked for.
pub type Cells = Vec<Option<String>>;

/// What was shown in each sample of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The text, and the names of files from the stimuli folder on; None for a sample without a stimulus.
    pub samples: Vec<Option<Cells>>,
    /// SHA-256 of every file that was read, by its name in the folder.
    pub files: Vec<(String, String)>,
}

impl Shown {
    /// Reads what these columns (`text`, `image`, …; whether each must be there) say of each sample of the dataset in
    /// `folder`.
    ///
    /// # Errors
    /// No list, no such column, a stimulus that stimuli.tsv does not know or tells two things of.
    pub fn read(folder: &Path, columns: &[(&str, bool)]) -> Result<Self, DatasetError> {
        let (runs, stimuli) = (folder.join("runs.tsv"), folder.join("stimuli.tsv"));
        let mut files = Vec::new();
        let mut list = |path: &Path| -> Result<Tsv, DatasetError> {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            files.push((name, sha256(path)?));
            Ok(Tsv::read(path)?)
        };
        let places = |list: &Tsv| -> Result<Vec<Option<usize>>, DatasetError> {
            let place = |(name, required): &(&str, bool)| match required {
                true => Ok(Some(list.required(name)?)),
                false => Ok(list.column(name)),
            };
            columns.iter().map(place).collect()
        };
        let samples = if stimuli.exists() {
            let stimuli = list(&stimuli)?;
            let runs = if runs.exists() { Some(list(&runs)?) } else { None };
            let places = places(&stimuli)?;
            let named =
                runs.as_ref().and_then(|runs| Some((runs, runs.column("stimulus")?, stimuli.column("stimulus")?)));
            match named {
                Some((runs, name, key)) => joined(runs, name, &stimuli, key, &places)?,
                None => stimuli.rows().map(|row| cells(row, &places)).collect(),
            }
        } else {
            let runs = list(&runs)?;
            let places = places(&runs)?;
            runs.rows().map(|row| cells(row, &places)).collect()
        };
        Ok(Self { samples, files })
    }
}

/// The cells of a row; None where all say n/a.
fn cells(row: TsvRow<'_>, places: &[Option<usize>]) -> Option<Cells> {
    let cells: Cells = places.iter().map(|place| row.get((*place)?).map(String::from)).collect();
    cells.iter().any(Option::is_some).then_some(cells)
}

/// What stimuli.tsv says of the stimulus that each row of runs.tsv names.
fn joined(
    runs: &Tsv,
    name: usize,
    stimuli: &Tsv,
    key: usize,
    places: &[Option<usize>],
) -> Result<Vec<Option<Cells>>, DatasetError> {
    let mut known: BTreeMap<&str, Option<Cells>> = BTreeMap::new();
    for row in stimuli.rows() {
        let named = row.get(key).ok_or_else(|| row.wrong("no stimulus (every row needs its name)"))?;
        let shown = cells(row, places);
        if known.get(named).is_some_and(|before| *before != shown) {
            let problem = format!("stimulus \"{named}\" is something else further up (one row a stimulus)");
            return Err(row.wrong(problem).into());
        }
        known.insert(named, shown);
    }
    let find = |row: TsvRow<'_>| match row.get(name) {
        None => Ok(None),
        Some(named) => match known.get(named) {
            Some(shown) => Ok(shown.clone()),
            None => Err(row.wrong(format!("stimulus \"{named}\" is not in {}", stimuli.path.display())).into()),
        },
    };
    runs.rows().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(runs: &str, stimuli: Option<&str>) -> Result<Vec<Option<Cells>>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("runs.tsv"), runs).unwrap();
        if let Some(stimuli) = stimuli {
            std::fs::write(folder.path().join("stimuli.tsv"), stimuli).unwrap();
        }
        let shown = Shown::read(folder.path(), &[("text", true), ("image", false)]);
        shown.map(|s| s.samples).map_err(|e| e.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    #[test]
    fn a_sample_shows_what_its_row_says_or_what_its_stimulus_is() {
        let some = |text: &str| Some(vec![Some(text.to_owned()), None]);
        assert_eq!(read("run\ttext\n1\ta cat\n1\tn/a\n", None).unwrap(), [some("a cat"), None]);
        let stimuli = "stimulus\ttext\ncat\ta cat\ndog\ta dog\ndog\ta dog\n";
        let joined = read("run\tstimulus\n1\tdog\n1\tn/a\n2\tcat\n2\tdog\n", Some(stimuli));
        assert_eq!(joined.unwrap(), [some("a dog"), None, some("a cat"), some("a dog")]);
        let both = read("run\ttext\timage\n1\tn/a\tn/a\n1\tn/a\tcat.png\n", None);
        assert_eq!(both.unwrap(), [None, Some(vec![None, Some("cat.png".into())])]);
        assert_eq!(read("run\n1\n1\n", Some("text\na cat\na dog\n")).unwrap(), [some("a cat"), some("a dog")]);
    }

    #[test]
    fn what_does_not_fit_is_named_by_line() {
        let says = |runs: &str, stimuli: Option<&str>| read(runs, stimuli).unwrap_err();
        assert!(says("run\n1\n", None).contains("no column \"text\" (there are: run)"));
        let stimuli = Some("stimulus\ttext\ncat\ta cat\n");
        assert!(says("stimulus\ncat\nfox\n", stimuli).contains("line 3: stimulus \"fox\" is not in stimuli.tsv"));
        let twice = Some("stimulus\ttext\ncat\ta cat\ncat\ta lion\n");
        assert!(says("stimulus\ncat\n", twice).contains("line 3: stimulus \"cat\" is something else further up"));
    }
}
