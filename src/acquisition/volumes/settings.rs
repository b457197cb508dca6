//! What has to be said of volumes, whichever way they come in? Settings that every way shares, written once.

use std::path::Path;

use crate::acquisition::SourceError;
use crate::acquisition::file::{Images, Reduction, Volumes, correction};
use crate::fmri::Correction;
use crate::frame::BlockSpec;

/// Defines the configuration of a way in: its own settings, then those of volumes; with `@images` only those that say what
/// volumes are reduced to, then others. (Serde's `flatten` would lose the line of a mistake, and the names of what may have
/// been meant.)
macro_rules! volume_config {
    (@images $(#[$about:meta])* pub struct $name:ident { $($own:tt)* } { $($more:tt)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($own)*
            /// Seconds from volume to volume.
            pub tr: f64,
            /// An atlas on the grid of the volumes, whose axes may be stored in another order or direction: a label image, or
            /// a 4D image with one map a region, whose weighted means are taken. Of another grid with `reference`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub labels: Option<std::path::PathBuf>,
            /// The names of `labels`: a BIDS dseg.tsv with columns `index` and `name`; maps count from 1.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub label_names: Option<std::path::PathBuf>,
            /// An image on the grid of the volumes, such as one of an earlier session: `labels` of another grid are brought
            /// onto it once, when the source is opened.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub reference: Option<std::path::PathBuf>,
            /// Brings `labels` into the space of `reference` first: a text file with a 4×4 matrix from their mm to those of
            /// the volumes (RAS).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub labels_affine: Option<std::path::PathBuf>,
            /// How `labels` of another grid are resampled: `"nearest"` (label images, by default) or `"linear"` (maps, by
            /// default).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub labels_interpolation: Option<crate::fmri::Interpolation>,
            /// Instead of `labels`: an image whose non-zero voxels become the columns.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub mask: Option<std::path::PathBuf>,
            /// What the values are counted in; `a.u.` by default.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub unit: Option<crate::frame::Unit>,
            /// Moves every volume back to where a reference lay, before its regions are averaged; by default nothing is moved.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub realign: Option<crate::fmri::RealignConfig>,
            /// Smooths every volume, after it was realigned: full width at half maximum in mm; by default nothing is smoothed.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub smooth: Option<f64>,
            $($more)*
        }

        impl $name {
            /// The images and tables that volumes are reduced with, so that they can be looked for elsewhere.
            pub fn images_mut(&mut self) -> impl Iterator<Item = &mut std::path::PathBuf> {
                let images = [
                    &mut self.labels,
                    &mut self.label_names,
                    &mut self.reference,
                    &mut self.labels_affine,
                    &mut self.mask,
                ];
                let lay = self.realign.as_mut().and_then(|realign| realign.reference.as_mut());
                images.into_iter().flatten().chain(lay)
            }
        }
    };
    (@shared $(#[$about:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $crate::acquisition::volumes::volume_config! { @images $(#[$about])* pub struct $name { $($own)* } {
            /// Which series is read, by its description (NIfTI: by the file's name without its number): text in which `*`
            /// stands for anything. By default any. Every series begins a new run.
            #[serde(
                default = "crate::acquisition::volumes::any",
                skip_serializing_if = "crate::acquisition::volumes::is_any"
            )]
            pub series: String,
            /// Which series is read, by its number; by default any.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub series_number: Option<u32>,
            /// Of several series that match, `"first"` (the default) reads the one that came first until it is silent for
            /// two TRs, then the next; `"newest"` goes over to another as soon as it begins.
            #[serde(default)]
            pub series_rule: crate::acquisition::volumes::SeriesRule,
            /// Which echo is read; 1 by default.
            #[serde(default = "crate::acquisition::volumes::first")]
            pub echo: u32,
            /// `"magnitude"` (the default) or `"phase"`.
            #[serde(default)]
            pub component: crate::acquisition::volumes::EchoComponent,
            /// Which number counts a series' volumes; by default what makes sense for the flavour.
            #[serde(default)]
            pub number: crate::acquisition::volumes::NumberRule,
            /// After how many seconds an image that does not become complete is given up; 10 by default.
            #[serde(default = "crate::acquisition::volumes::patience")]
            pub patience: f64,
            /// What says when a volume was measured: `"arrival"` (the default), `"header"`, or
            /// `{ trigger = { events = NAME } }`, the scanner's triggers.
            #[serde(default)]
            pub clock: crate::acquisition::timing::ClockRule,
            /// Seconds from the end of a volume's acquisition to its arrival, which are taken from the time of arrival; 0 by
            /// default. Negative where the scanner rests at the end of every TR, and volumes come before that is over.
            #[serde(default)]
            pub delay: f64,
        } }
    };
    ($(#[$about:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $crate::acquisition::volumes::volume_config! { @shared $(#[$about])* pub struct $name { $($own)* } }

        impl $name {
            /// What it says of volumes.
            pub fn volumes(&self) -> crate::acquisition::volumes::VolumeConfig {
                let $name { tr, unit, smooth, labels_interpolation, series_number, series_rule, .. } = *self;
                let $name { echo, component, number, patience, delay, .. } = *self;
                crate::acquisition::volumes::VolumeConfig {
                    tr,
                    labels: self.labels.clone(),
                    label_names: self.label_names.clone(),
                    reference: self.reference.clone(),
                    labels_affine: self.labels_affine.clone(),
                    labels_interpolation,
                    mask: self.mask.clone(),
                    unit,
                    realign: self.realign.clone(),
                    smooth,
                    series: self.series.clone(),
                    series_number,
                    series_rule,
                    echo,
                    component,
                    number,
                    patience,
                    clock: self.clock.clone(),
                    delay,
                }
            }
        }
    };
}
pub(in crate::acquisition) use volume_config;

volume_config! {
    @shared
    /// What every way in for volumes is told. Paths are taken as they are.
    pub struct VolumeConfig {}
}

pub(in crate::acquisition) fn any() -> String {
    "*".into()
}
pub(in crate::acquisition) fn is_any(series: &String) -> bool {
    series == "*"
}
pub(in crate::acquisition) fn first() -> u32 {
    1
}
pub(in crate::acquisition) fn patience() -> f64 {
    10.0
}

impl VolumeConfig {
    /// Checks the settings, as far as that is possible without the images; `way` is whose they are.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub(in crate::acquisition) fn validate(&self, way: &str) -> Result<(), SourceError> {
        let wrong = |problem: String| Err(SourceError::Config(format!("{way}: {problem}")));
        for (key, value) in [("tr", self.tr), ("patience", self.patience)] {
            if !(value > 0.0 && value.is_finite()) {
                return wrong(format!("{key}: {value} is no positive number of seconds"));
            }
        }
        if !(self.delay > -self.tr && self.delay.is_finite()) {
            return wrong(format!("delay: {} is no number of seconds above −TR", self.delay));
        }
        if self.series.is_empty() {
            return wrong("series: is empty (\"*\" takes any)".into());
        }
        Ok(())
    }

    /// What its blocks look like, from the atlas or mask alone.
    ///
    /// # Errors
    /// An image that cannot be read.
    pub(in crate::acquisition) fn shape(&self) -> Result<BlockSpec, SourceError> {
        let reduction = self.reduction()?;
        self.correction(&reduction)?;
        Ok(self.spec(&reduction))
    }

    /// What volumes go through before they are reduced, if anything.
    pub(super) fn correction(&self, reduction: &Reduction) -> Result<Option<Correction>, SourceError> {
        let reference = self.realign.as_ref().and_then(|realign| realign.reference.as_deref());
        correction(&reduction.atlas.grid, self.realign.as_ref(), self.smooth, reference)
    }

    pub(super) fn spec(&self, reduction: &Reduction) -> BlockSpec {
        BlockSpec::new(reduction.channels.clone(), 1.0 / self.tr, 1)
    }

    /// What volumes are reduced to, on their grid.
    pub(super) fn reduction(&self) -> Result<Reduction, SourceError> {
        let images = Images {
            labels: self.labels.as_deref(),
            label_names: self.label_names.as_deref(),
            affine: self.labels_affine.as_deref(),
            interpolation: self.labels_interpolation,
            mask: self.mask.as_deref(),
            unit: self.unit,
        };
        let reduction = Reduction::load(images, Path::new(""))?;
        match &self.reference {
            Some(reference) => reduction.on(&Volumes::open(reference)?),
            None => Ok(reduction),
        }
    }
}
