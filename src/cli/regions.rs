//! What can be asked of a 4D image? Its regions.

use std::path::PathBuf;

use clap::Args;

/// `neurod regions`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("where").args(["atlas", "mask"]).required(true))]
pub struct RegionsArgs {
    /// A 4D image: .nii or .nii.gz
    #[arg(value_name = "VOLUME")]
    pub image: PathBuf,
    /// A label image: every voxel holds the number of its region, or 0
    #[arg(long, value_name = "LABELS")]
    pub atlas: Option<PathBuf>,
    /// Instead of an atlas, every voxel of VOLUME that is not 0 in this image, on the same grid
    #[arg(long, value_name = "FILE")]
    pub mask: Option<PathBuf>,
    /// The names of the labels: BIDS dseg.tsv with `index` and `name`
    #[arg(long, value_name = "FILE", requires = "atlas")]
    pub labels: Option<PathBuf>,
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

fn length(text: &str) -> Result<f64, &'static str> {
    let mm = text.parse().ok().filter(|mm| (0.0..=100.0).contains(mm));
    mm.ok_or("give mm from 0 to 100")
}
