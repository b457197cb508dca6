//! What should the simulated scanner export?

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `neurod scanner`
#[derive(Debug, Args)]
pub struct ScannerArgs {
    /// What is scanned: a 4D NIfTI recording; or with --atlas a table of regions, a row a volume
    #[arg(value_name = "BOLD.nii.gz|REGIONS.tsv")]
    pub recording: PathBuf,
    /// The label image that the regions are painted into: its voxels show the value of their region, all others 0
    #[arg(long, value_name = "LABELS")]
    pub atlas: Option<PathBuf>,
    /// The names of the labels, which the columns are called by: BIDS dseg.tsv with `index` and `name`; without it columns are
    /// called `label_7`, or are one a region in order of label
    #[arg(long, value_name = "FILE", requires = "atlas")]
    pub labels: Option<PathBuf>,
    /// Paint voxels of this size, in mm, instead of the atlas's
    #[arg(long, value_name = "MM", requires = "atlas", allow_negative_numbers = true)]
    pub voxel_size: Option<f64>,
    /// The standard deviation of the noise that is added to the voxels of regions
    #[arg(long, value_name = "SD", default_value_t = 0.0, requires = "atlas", allow_negative_numbers = true)]
    pub noise: f64,
    /// The folder it is exported to, made where it is missing; or a DICOM node that it is sent to by C-STORE:
    /// dicom://CALLING@HOST:PORT/CALLED, where all but the host may be left out (SCANNER, 11112, NEUROD)
    #[arg(long, value_name = "DIR|dicom://SCANNER@127.0.0.1:11112/NEUROD")]
    pub to: PathBuf,
    /// How volumes are stored
    #[arg(long, value_enum, default_value = "mosaic")]
    pub format: ScanFormat,
    /// How fast: a factor of real time, or `max`
    #[arg(long, default_value = "1", value_name = "N|max", allow_negative_numbers = true)]
    pub speed: String,
    /// What goes wrong, and how often: drop, duplicate, reorder, delay, truncate (completed later), cut (never),
    /// second-series, wrong-dims. An object that is sent is truncated or cut by breaking off its association;
    /// truncated, it is sent again, whole
    #[arg(long, default_value = "", value_name = "NAME=RATE,...", hide_default_value = true)]
    pub faults: String,
    /// Another seed, other faults
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Seconds from volume to volume, where the recording does not say or should be scanned at another pace
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub tr: Option<f64>,
    /// Open an LSL stream of markers, and send "volume" when each volume begins: what a scanner's triggers are
    #[arg(long, value_name = "NAME")]
    pub triggers: Option<String>,
    /// Hold files back by up to so many seconds, another for each: what busy networks do
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS", hide_default_value = true)]
    pub jitter: f64,
    /// Write which volume had which fault, and when its trigger came, as a table; not into the export's folder
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,
}

/// How volumes are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScanFormat {
    /// DICOM, one slice a file
    Dicom,
    /// DICOM, one Siemens mosaic a file
    Mosaic,
    /// DICOM, one enhanced multi-frame image a file
    Enhanced,
    /// NIfTI, one volume a file
    Nifti,
}
