//! What may have been shown? Candidates are read and encoded once, by the encoders that live events go through.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::AppError;
use super::settings::Settings;
use crate::acquisition::file::Tsv;
use crate::encoders::{Encoder, EncoderConfig, Input, STIM_FILE, Stimulus};
use crate::runtime::{Candidates, Feed, Identifier, MOST_CANDIDATES, Plan};

/// The features of every candidate, by identification and encoder.
#[derive(Default)]
pub struct Encoded(BTreeMap<(String, String), Vec<Vec<f64>>>);

/// One candidate: its name, and what events.tsv would say of it.
struct Candidate {
    id: Arc<str>,
    columns: BTreeMap<String, String>,
}

impl Settings {
    /// Checks what can be checked of `[identification]` without reading a file.
    ///
    /// # Errors
    /// A predictor that is not there, that has no targets, or whose features are no events.
    pub(super) fn check_identification(&self, plan: &Plan) -> Result<(), AppError> {
        for (name, config) in &self.identification {
            let place = format!("identification.{name}.predictor");
            let Some(wired) = plan.predictors.iter().find(|predictor| predictor.name == config.predictor) else {
                let names = self.predictors.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let problem = format!("\"{}\" is no predictor (there are: {names})", config.predictor);
                return Err(AppError::setting(place, problem));
            };
            if wired.target.is_none() {
                let problem = "has no targets, so nothing is measured to go by (set its `targets`)";
                return Err(AppError::setting(place, problem));
            }
            let of_events = |feed: &Feed| match feed {
                Feed::Encoder(i) => !matches!(self.encoders.values().nth(*i), Some(EncoderConfig::Window(_)) | None),
                Feed::Source(_) => false,
            };
            if !wired.inputs.iter().all(of_events) {
                let problem = "is predicted from samples; only events can be candidates (name encoders of events)";
                return Err(AppError::setting(place, problem));
            }
        }
        Ok(())
    }

    /// Encodes every candidate of the predictors that have the encoder `name` among their features.
    ///
    /// # Errors
    /// A list that cannot be read, and a candidate that cannot be encoded.
    pub(super) fn encode_candidates(
        &self,
        name: &str,
        encoder: &mut dyn Encoder,
        encoded: &mut Encoded,
    ) -> Result<(), AppError> {
        let Some(kind) = self.encoders.get(name) else { return Ok(()) };
        for (identification, config) in &self.identification {
            let asked = self.predictors.get(&config.predictor);
            if !asked.is_some_and(|predictor| predictor.features.iter().any(|feature| feature == name)) {
                continue;
            }
            let mut features = Vec::new();
            for candidate in candidates(identification, &config.candidates)? {
                features.push(encode(identification, name, kind, encoder, &candidate)?);
            }
            encoded.0.insert((identification.clone(), name.to_owned()), features);
        }
        Ok(())
    }

    /// What each predictor is asked, in the order of their names.
    ///
    /// # Errors
    /// A list that cannot be read.
    pub(super) fn identifiers(&self, encoded: &mut Encoded) -> Result<Vec<Vec<Identifier>>, AppError> {
        let mut all = Vec::new();
        for (name, predictor) in &self.predictors {
            let mut identifiers = Vec::new();
            for (identification, config) in self.identification.iter().filter(|(_, c)| c.predictor == *name) {
                let ids = candidates(identification, &config.candidates)?.into_iter().map(|c| c.id).collect();
                let key = |encoder: &String| (identification.clone(), encoder.clone());
                let features = predictor.features.iter().filter_map(|f| encoded.0.get(&key(f)).cloned()).collect();
                identifiers.push(Identifier::new(identification, Candidates::new(ids, features)));
            }
            all.push(identifiers);
        }
        Ok(all)
    }
}

fn wrong(identification: &str, problem: String) -> AppError {
    AppError::setting(format!("identification.{identification}.candidates"), problem)
}

/// The list of candidates.
fn candidates(identification: &str, path: &Path) -> Result<Vec<Candidate>, AppError> {
    let failed = |error| AppError::Source { name: format!("identification.{identification}"), error };
    let list = Tsv::read(path).map_err(failed)?;
    let id_at = list.required("id").map_err(failed)?;
    let mut all: Vec<Candidate> = Vec::new();
    for row in list.rows() {
        let id = row.get(id_at).ok_or_else(|| failed(row.wrong("no id (every candidate needs one)")))?;
        if all.iter().any(|other| &*other.id == id) {
            return Err(failed(row.wrong(format!("two candidates are called {id:?} (rename one)"))));
        }
        let columns =
            list.header.iter().enumerate().filter_map(|(c, name)| Some((name.clone(), row.get(c)?.to_owned())));
        all.push(Candidate { id: id.into(), columns: columns.collect() });
    }
    match all.len() {
        2..=MOST_CANDIDATES => Ok(all),
        count => {
            let path = path.display();
            Err(wrong(identification, format!("{path} has {count} candidates (list 2 to {MOST_CANDIDATES})")))
        }
    }
}

fn encode(
    identification: &str,
    name: &str,
    kind: &EncoderConfig,
    encoder: &mut dyn Encoder,
    candidate: &Candidate,
) -> Result<Vec<f64>, AppError> {
    let cell = |column: &str| {
        candidate.columns.get(column).ok_or_else(|| {
            let problem = format!("candidate \"{}\" has no {column} for encoder \"{name}\" (fill it in)", candidate.id);
            wrong(identification, problem)
        })
    };
    let input = match kind {
        EncoderConfig::Text(_) => Input::Text(cell("text")?),
        EncoderConfig::Image(_) => Input::Image(Path::new(cell(STIM_FILE)?)),
        EncoderConfig::Multimodal(_) => Input::Multimodal(Stimulus::named(Some(cell("text")?), &candidate.columns)),
        EncoderConfig::Columns(_) | EncoderConfig::Window(_) => Input::Columns(&candidate.columns),
    };
    let mut feature = Vec::new();
    encoder.encode(&input, &mut feature).map_err(|error| {
        wrong(identification, format!("candidate \"{}\" cannot be encoded by \"{name}\": {error}", candidate.id))
    })?;
    Ok(feature.into_iter().map(f64::from).collect())
}
