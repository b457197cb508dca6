//! What networks are to be made of which scan? One of the whole, or as samples.tsv says.
//!
//! | column | |
//! |---|---|
//! | `file` | the scan, from the folder's top; needed |
//! | `participant_id` | by default told by the file's name |
//! | `label` | may be n/a |
//! | `onset`, `duration` | a stretch, in seconds from the first volume |
//! | `events`, `select` | or all events of a list whose `COLUMN=VALUE` |
//! | `lag` | seconds that are added to every onset, for the haemodynamic response |
//! | `offset` | seconds that are taken from every onset of `events`: when the run began on their clock |

use std::path::{Path, PathBuf};

use super::{People, find, named, participant};
use crate::acquisition::file::{Tsv, TsvRow};
use crate::datasets::DatasetError;

/// A network that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Its scan.
    pub file: PathBuf,
    /// Its name.
    pub name: String,
    /// Who it is of.
    pub participant: String,
    /// Empty where nothing is known.
    pub label: String,
    /// Of which volumes.
    pub cut: Cut,
}

/// Which volumes.
#[derive(Clone, Debug, PartialEq)]
pub enum Cut {
    /// All.
    Whole,
    /// Those whose middle lies in one of these stretches: from, to, in seconds from the first volume.
    Stretches(Vec<(f64, f64)>),
}

impl Cut {
    /// Which of `count` volumes of `tr` seconds.
    pub fn volumes(&self, count: usize, tr: f64) -> Vec<usize> {
        let within = |volume: &usize| match self {
            Self::Whole => true,
            Self::Stretches(stretches) => {
                let middle = (*volume as f64 + 0.5) * tr;
                stretches.iter().any(|(from, to)| middle >= *from && middle < *to)
            }
        };
        (0..count).filter(within).collect()
    }
}

/// The networks to make of the scans under `folder`, in order: those of its samples.tsv, or one a scan.
///
/// # Errors
/// No scan; a scan of nobody; a list that cannot be followed.
pub fn requests(folder: &Path, endings: &[&str], matching: Option<&str>) -> Result<Vec<Request>, DatasetError> {
    let people = People::read(folder)?;
    let list = folder.join("samples.tsv");
    if list.exists() {
        let tsv = Tsv::read(&list)?;
        let columns = Columns::of(&tsv)?;
        return tsv.rows().map(|row| columns.request(folder, row, people.as_ref())).collect();
    }
    let whole = |file: PathBuf| {
        let name = file.strip_prefix(folder).unwrap_or(&file).with_extension("").to_string_lossy().replace('\\', "/");
        let participant = participant(folder, &file, people.as_ref())?;
        Ok(Request { name, participant, label: String::new(), cut: Cut::Whole, file })
    };
    find(folder, endings, matching)?.into_iter().map(whole).collect()
}

/// Where the columns of samples.tsv are.
struct Columns {
    file: usize,
    participant: Option<usize>,
    label: Option<usize>,
    onset: Option<usize>,
    duration: Option<usize>,
    events: Option<usize>,
    select: Option<usize>,
    lag: Option<usize>,
    offset: Option<usize>,
}

impl Columns {
    fn of(tsv: &Tsv) -> Result<Self, DatasetError> {
        let at = |name: &str| tsv.column(name);
        Ok(Self {
            file: tsv.required("file")?,
            participant: at("participant_id"),
            label: at("label"),
            onset: at("onset"),
            duration: at("duration"),
            events: at("events"),
            select: at("select"),
            lag: at("lag"),
            offset: at("offset"),
        })
    }

    fn request(&self, folder: &Path, row: TsvRow<'_>, people: Option<&People>) -> Result<Request, DatasetError> {
        let cell = |column: Option<usize>| named(column.and_then(|column| row.get(column)));
        let number = |column: Option<usize>| column.map(|column| row.number(column)).transpose().map(Option::flatten);
        let file = folder.join(cell(Some(self.file)).ok_or_else(|| row.wrong("no file"))?);
        let participant = match cell(self.participant) {
            Some(id) => id.to_owned(),
            None => participant(folder, &file, people)?,
        };
        let lag = number(self.lag)?.unwrap_or(0.0);
        let cut = match (cell(self.events), number(self.onset)?, number(self.duration)?) {
            (Some(_), Some(_), _) => {
                return Err(row.wrong("both events and an onset (one of them, n/a in the other)").into());
            }
            (Some(events), None, _) => {
                let offset = number(self.offset)?.unwrap_or(0.0);
                Cut::Stretches(stretches(&folder.join(events), cell(self.select), lag - offset, row)?)
            }
            (None, Some(onset), Some(duration)) => Cut::Stretches(vec![(onset + lag, onset + lag + duration)]),
            (None, None, None) => Cut::Whole,
            (None, ..) => return Err(row.wrong("an onset and a duration go together").into()),
        };
        let label = cell(self.label).unwrap_or_default().to_owned();
        let stem = file.strip_prefix(folder).unwrap_or(&file).with_extension("").to_string_lossy().replace('\\', "/");
        let name = if label.is_empty() { stem } else { format!("{stem} {label}") };
        Ok(Request { file, name, participant, label, cut })
    }
}

/// When the events of `path` that are `select`ed took place, so many seconds later.
fn stretches(
    path: &Path,
    select: Option<&str>,
    later: f64,
    asked: TsvRow<'_>,
) -> Result<Vec<(f64, f64)>, DatasetError> {
    let tsv = Tsv::read(path)?;
    let (onset, duration) = (tsv.required("onset")?, tsv.required("duration")?);
    let wanted = match select.map(|text| text.split_once('=')) {
        None => None,
        Some(Some((column, value))) => Some((tsv.required(column.trim())?, value.trim())),
        Some(None) => return Err(asked.wrong("select is not COLUMN=VALUE (trial_type=heat)").into()),
    };
    let mut found = Vec::new();
    for row in tsv.rows().filter(|row| wanted.is_none_or(|(column, value)| row.get(column) == Some(value))) {
        let from = row.number(onset)?.ok_or_else(|| row.wrong("the onset is n/a (every event needs one)"))? + later;
        found.push((from, from + row.number(duration)?.unwrap_or(0.0)));
    }
    match found.is_empty() {
        true => Err(asked.wrong(format!("no event of {} is {}", path.display(), select.unwrap_or("there"))).into()),
        false => Ok(found),
    }
}
