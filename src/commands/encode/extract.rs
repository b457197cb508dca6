//! How does every different stimulus get its features, once? Batches over copies of a model; what is done is kept on disk.
//!
//! Which stimuli share a batch depends on the stimuli alone, not on what has been done before: features of one batch may
//! differ in their last bits from those of another, and so a run that was killed and went on gives the bytes of one that
//! was not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use sha2::{Digest, Sha256};

use super::design::progress;
use crate::encoders::{
    EncodeError, Encoder, EncoderError, FeatureStore, ImageConfig, ImageEncoder, Input, ModelFiles, Runtime,
    StimulusKey, TextEncoder, read_stimulus,
};

/// What is to be encoded.
pub struct Stimuli {
    /// The texts, or the pictures' names, each once.
    names: Vec<String>,
    /// What they are kept by; why not, where there is nothing to encode.
    keys: Vec<Result<StimulusKey, String>>,
    /// Which of them each sample shows.
    pub of_samples: Vec<Option<usize>>,
}

impl Stimuli {
    /// What is shown in `samples`: texts, or pictures in that folder.
    pub fn new(samples: &[Option<String>], pictures: Option<&Path>) -> Self {
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        let mut names = Vec::new();
        let mut number = |name| {
            *known.entry(name).or_insert_with(|| {
                names.push(String::from(name));
                names.len() - 1
            })
        };
        let of_samples = samples.iter().map(|shown| shown.as_deref().map(&mut number)).collect();
        let bar = progress(if pictures.is_some() { names.len() } else { 0 }, "file");
        let key = |name: &String| {
            bar.inc(1);
            match pictures {
                None => Ok(Sha256::digest(name).into()),
                Some(folder) => match read_stimulus(folder, Path::new(name)) {
                    Ok(bytes) => Ok(Sha256::digest(bytes).into()),
                    Err(error) => Err(EncodeError::Image { image: name.clone(), error }.to_string()),
                },
            }
        };
        let keys = names.iter().map(key).collect();
        bar.finish_and_clear();
        Self { names, keys, of_samples }
    }

    /// The first of every different stimulus, in batches: neighbours are of like length.
    fn batches(&self, size: usize, texts: bool) -> Vec<Vec<(StimulusKey, &str)>> {
        let mut seen = BTreeSet::new();
        let sound =
            self.keys.iter().zip(&self.names).filter_map(|(key, name)| Some((*key.as_ref().ok()?, name.as_str())));
        let mut different: Vec<_> = sound.filter(|(key, _)| seen.insert(*key)).collect();
        if texts {
            different.sort_by_key(|(_, text)| text.len());
        }
        different.chunks(size).map(<[_]>::to_vec).collect()
    }
}

/// How it is to be done.
pub struct Extraction<'a> {
    /// The model, its layers chosen.
    pub files: &'a ModelFiles,
    /// Where the pictures lie; None for texts.
    pub pictures: Option<&'a Path>,
    /// Whether long texts are cut.
    pub cut: bool,
    /// Stimuli in a batch.
    pub batch: usize,
    /// Batches at a time.
    pub jobs: usize,
}

/// What came of it.
#[derive(Default)]
pub struct Extracted {
    /// How many different stimuli went through the model.
    pub encoded: usize,
    /// How many were there already.
    pub kept: usize,
    problems: BTreeMap<StimulusKey, String>,
}

impl Extracted {
    /// What a stimulus is kept by, or why it has no features.
    pub fn key_of<'a>(&'a self, stimuli: &'a Stimuli, stimulus: usize) -> Result<StimulusKey, &'a str> {
        match stimuli.keys.get(stimulus) {
            Some(Ok(key)) => self.problems.get(key).map_or(Ok(*key), |problem| Err(problem)),
            Some(Err(problem)) => Err(problem),
            None => Err("no such stimulus"),
        }
    }
}

impl Extraction<'_> {
    /// Encodes what `stores` (one a part of the feature) do not hold yet. The runtime is asked for only if there is something
    /// to encode.
    ///
    /// # Errors
    /// The model cannot be loaded, or the stores not be written. A stimulus that cannot be encoded is no error.
    pub fn run(
        &self,
        stimuli: &Stimuli,
        runtime: &dyn Fn() -> anyhow::Result<Runtime>,
        stores: &mut [FeatureStore],
    ) -> anyhow::Result<Extracted> {
        let batches = stimuli.batches(self.batch, self.pictures.is_none());
        let different: usize = batches.iter().map(Vec::len).sum();
        let there = |(key, _): &(StimulusKey, &str)| stores.iter().all(|store| store.contains(key));
        let batches: Vec<_> = batches.into_iter().filter(|batch| !batch.iter().all(there)).collect();
        let mut done = Extracted { encoded: batches.iter().map(Vec::len).sum(), ..Extracted::default() };
        done.kept = different - done.encoded;
        if batches.is_empty() {
            return Ok(done);
        }
        let runtime = runtime()?;
        let bar = progress(done.encoded, "stimulus");
        let (next, (send, receive)) = (AtomicUsize::new(0), channel());
        thread::scope(|scope| -> anyhow::Result<()> {
            for job in 0..self.jobs.min(batches.len()) {
                let (send, next, batches, runtime) = (send.clone(), &next, &batches, &runtime);
                let work = move || match self.encoder(runtime) {
                    // Whoever listens has heard of another mistake already where nobody does.
                    Err(error) => drop(send.send(Err(error))),
                    Ok(mut encoder) => {
                        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                            let features = encoder.encode_batch(&self.inputs(batch));
                            if send.send(Ok((batch, features))).is_err() {
                                break;
                            }
                        }
                    }
                };
                thread::Builder::new().name(format!("encode:{job}")).spawn_scoped(scope, work)?;
            }
            drop(send);
            let dims: Vec<usize> = self.files.parts().iter().map(|part| part.dims).collect();
            for answer in receive {
                let (batch, features) = answer?;
                for ((key, _), feature) in batch.iter().zip(features) {
                    match feature {
                        Ok(feature) => {
                            let mut rest = feature.as_slice();
                            for (store, dims) in stores.iter_mut().zip(&dims) {
                                let (part, after) = rest.split_at(*dims.min(&rest.len()));
                                store.put(key, part)?;
                                rest = after;
                            }
                        }
                        Err(error) => {
                            done.problems.insert(*key, error.to_string());
                        }
                    }
                }
                bar.inc(batch.len() as u64);
            }
            Ok(())
        })?;
        bar.finish_and_clear();
        done.encoded -= done.problems.len();
        Ok(done)
    }

    fn inputs<'a>(&self, batch: &[(StimulusKey, &'a str)]) -> Vec<Input<'a>> {
        let input = |(_, name): &(StimulusKey, &'a str)| match self.pictures {
            None => Input::Text(name),
            Some(_) => Input::Image(Path::new(*name)),
        };
        batch.iter().map(input).collect()
    }

    /// A copy of the model, on one thread: so its results repeat bit for bit.
    fn encoder(&self, runtime: &Runtime) -> anyhow::Result<Box<dyn Encoder>> {
        let Some(stimuli) = self.pictures else {
            let encoder = TextEncoder::load(runtime, self.files, 0, 1)?;
            return Ok(if self.cut { Box::new(encoder) } else { Box::new(encoder.strict()?) });
        };
        let config = ImageConfig {
            model: self.files.folder.clone(),
            events: String::new(),
            stimuli: stimuli.into(),
            layer: None,
            deadline: f64::INFINITY,
            cache: 0,
            threads: 1,
        };
        Ok(Box::new(ImageEncoder::load(runtime, self.files.clone(), &config, 1)?))
    }
}

/// Opens the store of each part of the feature.
///
/// # Errors
/// As [`FeatureStore::open`].
pub fn stores(files: &ModelFiles, folder: &Path, cut: bool) -> Result<Vec<FeatureStore>, EncoderError> {
    let open = |part: crate::encoders::Manifest| {
        // What was cut must never pass for the whole.
        let ending = if cut { "cut.features" } else { "features" };
        FeatureStore::open(&folder.join(format!("{}.{ending}", part.identity())), part.dims)
    };
    files.parts().into_iter().map(open).collect()
}
