//! What can be said of how networks are built?

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `neurod network build`
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// A folder of scans (docs/networks.md), or one file: ABIDE's abide.npz, a BrainGB .mat
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    /// What is measured between two regions
    #[arg(long, value_enum, default_value_t = KindArg::Pearson)]
    pub kind: KindArg,
    /// What is done about too few volumes
    #[arg(long, value_enum, default_value_t = ShrinkageArg::LedoitWolf)]
    pub shrinkage: ShrinkageArg,
    /// Fisher's z of correlations (0 on the diagonal)
    #[arg(long)]
    pub fisher_z: bool,
    /// Which edges stay: density:SHARE, absolute:LEAST, or connected:SHARE (the maximum spanning tree, then the strongest)
    #[arg(long, value_name = "RULE")]
    pub threshold: Option<String>,
    /// What a negative edge counts as, before the threshold
    #[arg(long, value_enum, default_value_t = SignArg::Keep)]
    pub sign: SignArg,
    /// What is done with weights of --kind given and of --structural
    #[arg(long, value_enum, default_value_t = WeightArg::None)]
    pub scale: WeightArg,
    /// The label image of --kind streamlines; by default the one named …dseg.nii(.gz) beside each file
    #[arg(long, value_name = "IMAGE")]
    pub parcels: Option<PathBuf>,
    /// Streamlines of fewer points count for nothing
    #[arg(long, value_name = "N", default_value_t = 11)]
    pub least_points: usize,
    /// Matrices of --kind given and of --structural that are not symmetric become the mean of both directions
    #[arg(long)]
    pub symmetrise: bool,
    /// A folder with one structural matrix a person, which becomes the view `structural`
    #[arg(long, value_name = "DIR")]
    pub structural: Option<PathBuf>,
    /// Only matrices of --structural with this in their path
    #[arg(long, value_name = "TEXT", requires = "structural")]
    pub structural_match: Option<String>,
    /// Of a file that holds several networks a sample, which: corr, pcorr; DTI, fMRI
    #[arg(long, value_name = "NAME")]
    pub array: Option<String>,
    /// Only scans with this in their path
    #[arg(long = "match", value_name = "TEXT")]
    pub matching: Option<String>,
    /// Columns of region tables that are left out, e.g. GlobSig
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub drop: Vec<String>,
    /// Region tables lie regions × volumes
    #[arg(long)]
    pub transpose: bool,
    /// Seconds a volume takes: needed where samples.tsv cuts scans, and for coherence
    #[arg(long, value_name = "SECONDS")]
    pub tr: Option<f64>,
    /// The band of --kind coherence, in Hz
    #[arg(long, value_name = "LOW-HIGH", default_value = "0.01-0.1")]
    pub band: String,
    /// A column of DATA/participants.tsv that becomes the label, where samples.tsv gives none
    #[arg(long, value_name = "COLUMN")]
    pub label: Option<String>,
    /// What regions are called and where they lie; by default DATA/regions.tsv
    #[arg(long, value_name = "FILE")]
    pub regions: Option<PathBuf>,
    /// The file to write
    #[arg(long, short, value_name = "FILE.npz")]
    pub out: PathBuf,
}

/// What is measured between two regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KindArg {
    /// Pearson's correlation
    Pearson,
    /// Pearson's correlation of ranks
    Spearman,
    /// Correlation given all other regions
    Partial,
    /// Displacement from the geometric mean of all samples
    Tangent,
    /// Covariance
    Covariance,
    /// The inverse of the covariance
    Precision,
    /// Coherence in a band
    Coherence,
    /// Nothing: DATA holds matrices already
    Given,
    /// Streamlines whose two ends lie in the regions: DATA holds .tck or .trk
    Streamlines,
}

/// What is done about too few volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShrinkageArg {
    /// Towards the mean diagonal, by as much as Ledoit and Wolf find best
    LedoitWolf,
    /// Nothing
    None,
}

/// What a negative edge counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SignArg {
    /// Itself
    Keep,
    /// Its size
    Absolute,
    /// Nothing
    Positive,
    /// Itself, and a positive one nothing
    Negative,
}

/// What is done with weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WeightArg {
    /// Nothing
    None,
    /// log(1 + weight)
    Log1p,
    /// Divided by the largest of the person
    Max,
}
