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

use super::design::progress;
use super::reads::Reads;
use crate::datasets::Cells;
use crate::encoders::{
    Encoder, EncoderError, FeatureStore, ImageConfig, ImageEncoder, Input, Manifest, ModelFiles, MultimodalConfig,
    MultimodalEncoder, Runtime, StimulusKey, TextEncoder,
};

/// What is to be encoded.
pub struct Stimuli {
    reads: Reads,
    /// What the lists say of each, each once.
    cells: Vec<Cells>,
    /// What they are kept by; why not, where there is nothing to encode.
    keys: Vec<Result<StimulusKey, String>>,
    /// Which of them each sample shows.
    pub of_samples: Vec<Option<usize>>,
}

impl Stimuli {
    /// What is shown in `samples`, as far as the model reads it; files lie in `folder`.
    pub fn new(samples: &[Option<Cells>], reads: Reads, folder: &Path) -> Self {
        let mut known: BTreeMap<&Cells, usize> = BTreeMap::new();
        let mut cells = Vec::new();
        let mut number = |shown| {
            *known.entry(shown).or_insert_with(|| {
                cells.push(Cells::clone(shown));
                cells.len() - 1
            })
        };
        let of_samples = samples.iter().map(|shown| shown.as_ref().map(&mut number)).collect();
        let bar = progress(cells.len(), "stimulus read");
        let key = |cells: &Cells| {
            bar.inc(1);
            reads.key(cells, folder)
        };
        let keys = cells.iter().map(key).collect();
        bar.finish_and_clear();
        Self { reads, cells, keys, of_samples }
    }

    /// The first of every different stimulus, in batches: neighbours are of like length, where they have one.
    fn batches(&self, size: usize) -> Vec<Vec<(StimulusKey, &Cells)>> {
        let mut seen = BTreeSet::new();
        let sound = self.keys.iter().zip(&self.cells).filter_map(|(key, cells)| Some((*key.as_ref().ok()?, cells)));
        let mut different: Vec<_> = sound.filter(|(key, _)| seen.insert(*key)).collect();
        if self.reads == Reads::Text {
            different.sort_by_key(|(_, cells)| cells.iter().flatten().map(String::len).sum::<usize>());
        }
        different.chunks(size).map(<[_]>::to_vec).collect()
    }
}

/// How it is to be done.
pub struct Extraction<'a> {
    /// The model, its layers chosen.
    pub files: &'a ModelFiles,
    /// What it reads.
    pub reads: Reads,
    /// Where files lie.
    pub folder: &'a Path,
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
    pub fn run<'s>(
        &self,
        stimuli: &'s Stimuli,
        runtime: &dyn Fn() -> anyhow::Result<Runtime>,
        stores: &mut [FeatureStore],
    ) -> anyhow::Result<Extracted> {
        let batches = stimuli.batches(self.batch);
        let different: usize = batches.iter().map(Vec::len).sum();
        let there = |(key, _): &(StimulusKey, &Cells)| stores.iter().all(|store| store.contains(key));
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
                let inputs = |batch: &[(StimulusKey, &'s Cells)]| -> Vec<Input<'s>> {
                    batch.iter().map(|(_, cells)| self.reads.input(cells)).collect()
                };
                let work = move || match self.encoder(runtime) {
                    // Whoever listens has heard of another mistake already where nobody does.
                    Err(error) => drop(send.send(Err(error))),
                    Ok(mut encoder) => {
                        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                            let features = encoder.encode_batch(&inputs(batch));
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

    /// A copy of the model, on one thread: so its results repeat bit for bit.
    fn encoder(&self, runtime: &Runtime) -> anyhow::Result<Box<dyn Encoder>> {
        let (model, stimuli, events) = (self.files.folder.clone(), self.folder.into(), String::new());
        let (layer, deadline, cache, threads) = (None, f64::INFINITY, 0, 1);
        Ok(match self.reads {
            Reads::Text => {
                let encoder = TextEncoder::load(runtime, self.files, cache, threads)?;
                Box::new(if self.cut { encoder } else { encoder.strict()? })
            }
            Reads::Picture => {
                let config = ImageConfig { model, events, stimuli, layer, deadline, cache, threads };
                Box::new(ImageEncoder::load(runtime, self.files.clone(), &config, threads)?)
            }
            Reads::Both | Reads::Regions => {
                let config = MultimodalConfig { model, events, stimuli, layer, deadline, cache, threads };
                let encoder = MultimodalEncoder::load(runtime, self.files.clone(), &config, threads)?;
                Box::new(if self.cut { encoder } else { encoder.strict()? })
            }
        })
    }
}

/// Opens the store of each part of the feature.
///
/// # Errors
/// As [`FeatureStore::open`].
pub fn stores(files: &ModelFiles, folder: &Path, cut: bool) -> Result<Vec<FeatureStore>, EncoderError> {
    let open = |part: Manifest| {
        // What was cut must never pass for the whole.
        let ending = if cut { "cut.features" } else { "features" };
        FeatureStore::open(&folder.join(format!("{}.{ending}", part.identity())), part.dims)
    };
    files.parts().into_iter().map(open).collect()
}
