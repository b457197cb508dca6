//! What can be asked of a 4D image? Its regions.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `neurod regions`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("where").args(["atlas", "mask"]).required(true))]
pub struct RegionsArgs {
    /// A 4D image: .nii or .nii.gz
    #[arg(value_name = "VOLUME")]
    pub image: PathBuf,
    /// A label image, where every voxel holds the number of its region or 0; or a 4D image with one map a region, whose
    /// weighted means are taken
    #[arg(long, value_name = "ATLAS")]
    pub atlas: Option<PathBuf>,
    /// Instead of an atlas, every voxel of VOLUME that is not 0 in this image, on the same grid
    #[arg(long, value_name = "FILE")]
    pub mask: Option<PathBuf>,
    /// The names of the labels: BIDS dseg.tsv with `index` and `name`; maps count from 1
    #[arg(long, value_name = "FILE", requires = "atlas")]
    pub labels: Option<PathBuf>,
    /// Brings the atlas into the space of VOLUME first: a text file with a 4×4 matrix from its mm to VOLUME's (RAS)
    #[arg(long, value_name = "FILE", conflicts_with = "mask")]
    pub affine: Option<PathBuf>,
    /// How an atlas on another grid is resampled; by default label images take the nearest voxel, maps are linear
    #[arg(long, value_enum, conflicts_with = "mask")]
    pub interpolation: Option<Resampling>,
    /// Move every volume back to where the reference volume lay before its regions are averaged
    #[arg(long)]
    pub realign: bool,
    /// Which volume the others are realigned to, from 0
    #[arg(long, value_name = "N", default_value_t = 0, requires = "realign")]
    pub reference: u64,
    /// Where the motion goes; by default beside the regions: OUT_motion.tsv
    #[arg(long, value_name = "FILE", requires = "realign")]
    pub motion: Option<PathBuf>,
    /// How many motion regressors: the 6 parameters; 12 with their change; 24 with the volume before and squares
    #[arg(long, value_name = "6|12|24", default_value = "6", value_parser = ["6", "12", "24"], requires = "realign")]
    pub regressors: String,
    /// Mark volumes displaced by more than this, in mm, and the one that follows
    #[arg(long, value_name = "MM", default_value_t = 0.5, value_parser = length, requires = "realign")]
    pub censor: f64,
    /// Smooth every volume: full width at half maximum in mm
    #[arg(long, value_name = "MM", value_parser = length, allow_negative_numbers = true)]
    pub smooth: Option<f64>,
    /// The table to write
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
}

/// How an atlas is resampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Resampling {
    /// Each voxel takes what the nearest one of the atlas has
    Nearest,
    /// Each voxel takes a share of the eight around it; a label image becomes weights
    Linear,
}

fn length(text: &str) -> Result<f64, &'static str> {
    let mm = text.parse().ok().filter(|mm| (0.0..=100.0).contains(mm));
    mm.ok_or("give mm from 0 to 100")
}
