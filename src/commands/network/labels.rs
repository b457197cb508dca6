//! What is to be learned of each network? A column of a table, or the labels that the networks bring.

use anyhow::bail;

use crate::cli::Task;
use crate::datasets::participants::{Known, Participants};
use crate::network::{NetworkError, Networks, Targets};

/// More classes than this are taken for numbers that someone forgot to say are numbers.
const MOST_CLASSES: usize = 50;

/// The labels that are known, of `given` (FILE:COLUMN) or of the networks themselves.
///
/// # Errors
/// A table that cannot be read; no label at all.
pub fn known(given: Option<&str>, networks: &Networks) -> anyhow::Result<Known> {
    let known = match given {
        Some(given) => Participants::labels(given, &networks.participants)?,
        None => Known::of(&networks.labels),
    };
    if known.rows.is_empty() {
        let problem = "no sample has one (give --labels participants.tsv:COLUMN)".to_owned();
        return Err(NetworkError::Labels(problem).into());
    }
    Ok(known)
}

/// Of all samples what is learned; of those without a label something that is never looked at.
///
/// # Errors
/// One class; more classes than there can be; what is no number where numbers are learned.
pub fn targets(task: Task, labels: &Known, samples: usize) -> anyhow::Result<Targets> {
    match task {
        Task::Classes => {
            let Targets::Classes { names, of: known } = Targets::classes(&labels.values)? else { bail!("no classes") };
            if names.len() > MOST_CLASSES {
                let count = names.len();
                let problem = format!("{count} different classes (if they are numbers, say --task values)");
                return Err(NetworkError::Labels(problem).into());
            }
            let mut of = vec![0; samples];
            for (row, class) in labels.rows.iter().zip(known) {
                of.get_mut(*row).into_iter().for_each(|of| *of = class);
            }
            Ok(Targets::Classes { names, of })
        }
        Task::Values => {
            let mut of = vec![f64::NAN; samples];
            for (row, value) in labels.rows.iter().zip(labels.numbers().map_err(NetworkError::Labels)?) {
                of.get_mut(*row).into_iter().for_each(|of| *of = value);
            }
            Ok(Targets::Values(of))
        }
    }
}
