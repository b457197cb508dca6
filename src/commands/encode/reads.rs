//! What does a model read of a stimulus? A text, a picture, or a text with what is seen; by the columns of a list.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::encoders::{Input, Kind, Manifest, PictureSource, RegionsSource, Stimulus, StimulusKey, read_stimulus};

/// What a model reads of a stimulus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Its text.
    Text,
    /// Its picture.
    Picture,
    /// Its text and its picture.
    Both,
    /// Its text and the regions of its picture, which a detector found.
    Regions,
}

impl Reads {
    /// What this model reads; None for one of windows of a recording or of networks.
    pub fn of(manifest: &Manifest) -> Option<Self> {
        Some(match manifest.kind {
            Kind::Text => Reads::Text,
            Kind::Image => Reads::Picture,
            Kind::Multimodal if manifest.regions.is_some() => Reads::Regions,
            Kind::Multimodal => Reads::Both,
            Kind::Window | Kind::Network => return None,
        })
    }

    /// The columns of runs.tsv or stimuli.tsv, and whether each must be there.
    pub fn columns(self) -> &'static [(&'static str, bool)] {
        match self {
            Reads::Text => &[("text", true)],
            Reads::Picture => &[("image", true)],
            Reads::Both => &[("text", true), ("image", true)],
            Reads::Regions => &[("text", true), ("regions", true), ("boxes", false)],
        }
    }

    /// What the stimulus is kept by: SHA-256 of its text, and of the contents of its files.
    ///
    /// # Errors
    /// Why there is nothing to encode.
    pub fn key(self, cells: &[Option<String>], folder: &Path) -> Result<StimulusKey, String> {
        let mut hash = Sha256::new();
        for ((column, required), cell) in self.columns().iter().zip(cells) {
            let part = match cell {
                None if *required => return Err(format!("no {column} (this model takes it with the rest)")),
                None => Vec::new(),
                Some(text) if *column == "text" => text.as_bytes().to_vec(),
                Some(name) => {
                    read_stimulus(folder, Path::new(name)).map_err(|error| format!("{column} {name}: {error}"))?
                }
            };
            // Where there are several, each with its length: else one could end where another begins.
            if self.columns().len() > 1 {
                hash.update((part.len() as u64).to_le_bytes());
            }
            hash.update(part);
        }
        Ok(hash.finalize().into())
    }

    /// The stimulus as the model's encoder takes it.
    pub fn input(self, cells: &[Option<String>]) -> Input<'_> {
        let cell = |i: usize| cells.get(i).and_then(Option::as_deref);
        let file = |i: usize| cell(i).map(Path::new);
        match self {
            Reads::Text => Input::Text(cell(0).unwrap_or_default()),
            Reads::Picture => Input::Image(file(0).unwrap_or(Path::new(""))),
            Reads::Both => {
                let picture = file(1).map(PictureSource::File);
                Input::Multimodal(Stimulus { text: cell(0), picture, regions: None })
            }
            Reads::Regions => {
                let regions = file(1).map(|features| RegionsSource::Files { features, boxes: file(2) });
                Input::Multimodal(Stimulus { text: cell(0), picture: None, regions })
            }
        }
    }
}
