//! What is finished already? One file an outcome, under the hash of all that it depends on, there whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::commands::network::question::Question;
use crate::encoders::hex_sha256;
use crate::network::benchmark::{Keep, Model, Outcome, Plan};
use crate::network::division::Fold;

/// Outcomes in DIR/progress.
pub struct Kept<'a> {
    folder: PathBuf,
    /// Hash of the data, the labels, and what of the command decides numbers.
    of_all: String,
    folds: &'a [Fold],
}

impl<'a> Kept<'a> {
    /// In `out`, which is made if it is not there.
    ///
    /// # Errors
    /// What the system refused.
    pub fn new(out: &Path, plan: &Plan<'a>, question: &Question) -> anyhow::Result<Self> {
        let folder = out.join("progress");
        fs::create_dir_all(&folder).with_context(|| format!("--out {}", out.display()))?;
        let mut all = format!(
            "{}\n{}\n{} {} {}\n{:?}\n",
            env!("CARGO_PKG_VERSION"),
            question.sha256,
            plan.inner,
            plan.held_back,
            plan.seed,
            plan.units
        );
        question.rows.iter().for_each(|row| all += &format!("{row}\t{}\n", question.truth(*row)));
        Ok(Self { folder, of_all: hex_sha256(all.as_bytes()), folds: plan.folds })
    }

    fn path(&self, model: &Model, fold: usize) -> PathBuf {
        let job = format!("{}\n{}\n{:?}", self.of_all, model.identity, self.folds.get(fold));
        self.folder.join(hex_sha256(job.as_bytes()) + ".json")
    }
}

impl Keep for Kept<'_> {
    fn get(&self, model: &Model, fold: usize) -> Option<Outcome> {
        let text = fs::read(self.path(model, fold)).ok()?;
        let kept: Outcome = serde_json::from_slice(&text).ok()?;
        // The same settings may be called otherwise now, and a fold may be another one's place.
        Some(Outcome { model: model.name.clone(), fold, ..kept })
    }

    fn put(&self, model: &Model, outcome: &Outcome) -> io::Result<()> {
        let path = self.path(model, outcome.fold);
        let partial = self.folder.join(format!(".{}-{}.partial", std::process::id(), file_of(outcome)));
        fs::write(&partial, serde_json::to_vec(outcome)?)?;
        fs::rename(&partial, path)
    }
}

/// A name that no other job of this run has.
fn file_of(outcome: &Outcome) -> String {
    hex_sha256(format!("{}\n{}", outcome.model, outcome.fold).as_bytes())
}
