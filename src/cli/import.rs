//! What was asked of `neurod encode import`? One format each, and where the folder goes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `neurod encode import`
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// BOLD5000: responses by region and volume, and the list of what was shown
    #[command(after_help = "Examples:
  neurod encode import bold5000 BOLD5000/ROIs --subject CSI1 --out csi1
  neurod encode import bold5000 BOLD5000/ROIs --subject CSI4 --tr 34 --out csi4")]
    Bold5000(Bold5000Args),
    /// Pereira et al. 2018: one person's responses to concepts or sentences, by network
    #[command(after_help = "Examples:
  neurod encode import pereira P01/data_180concepts_pictures.mat --repeat --out p01
  neurod encode import pereira P01/data_180concepts_pictures.mat --networks gordon --by-roi --out p01-gordon")]
    Pereira(PereiraArgs),
    /// BIDS: 4D images with their events, a row a volume, a column a voxel or a region
    #[command(after_help = "Examples:
  neurod encode import bids func/*_bold.nii.gz --mask mask.nii.gz --text 'a photo of a {trial_type}' --out voxels
  neurod encode import bids func/*_bold.nii.gz --dseg dseg.nii.gz --labels dseg.tsv --mean --out regions")]
    Bids(BidsArgs),
    /// A .npz file of numpy, with arrays `features` (or `X`, or `features.NAME` each) and `responses` (or `Y`)
    #[command(after_help = "Examples:
  neurod encode import npz sub-01.npz --out sub01
  neurod encode import npz sub-01.npz --responses betas --features clip,vit --out sub01")]
    Npz(NpzArgs),
}

/// Where it goes.
#[derive(Debug, Args)]
pub struct ImportTo {
    /// The folder to write
    #[arg(long, short, value_name = "DATA")]
    pub out: PathBuf,
    /// Replace DATA where it holds a data set already
    #[arg(long)]
    pub force: bool,
}

/// `neurod encode import bold5000`
#[derive(Debug, Args)]
pub struct Bold5000Args {
    /// The folder, or one above it, that holds CSI1_ROIs_TR1.mat … and CSI01_stim_lists.txt
    #[arg(value_name = "SRC")]
    pub source: PathBuf,
    /// Whose responses: CSI1 to CSI4
    #[arg(long, value_name = "CSI1…4")]
    pub subject: String,
    /// Which volumes after the picture are averaged, as the files name them
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,2,3,34,4,5")]
    pub tr: Vec<String>,
    /// How many trials of the list make a run; 0 leaves runs out
    #[arg(long, value_name = "N", default_value_t = 37)]
    pub trials_a_run: usize,
    /// The folder of pictures, Presented_Stimuli: `image` then says where each lies in it
    #[arg(long, value_name = "FOLDER")]
    pub pictures: Option<PathBuf>,
    /// Where it goes.
    #[command(flatten)]
    pub to: ImportTo,
}

/// `neurod encode import pereira`
#[derive(Debug, Args)]
pub struct PereiraArgs {
    /// The .mat file, e.g. data_180concepts_pictures.mat
    #[arg(value_name = "SRC.mat")]
    pub source: PathBuf,
    /// Which networks or parcellations of the file; by default the nine of the published tables
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub networks: Vec<String>,
    /// Regions are the regions within a network or parcellation, instead of each of those as one
    #[arg(long)]
    pub by_roi: bool,
    /// A voxel that lies in several networks is a column of each, instead of the first
    #[arg(long)]
    pub repeat: bool,
    /// Whose responses they are; by default the name of the file's folder
    #[arg(long, value_name = "NAME")]
    pub subject: Option<String>,
    /// A NIfTI image on the grid of the responses: says where voxels lie in mm
    #[arg(long, value_name = "IMAGE")]
    pub grid: Option<PathBuf>,
    /// Where it goes.
    #[command(flatten)]
    pub to: ImportTo,
}

/// `neurod encode import bids`
#[derive(Debug, Args)]
pub struct BidsArgs {
    /// One 4D image a run, in order
    #[arg(value_name = "BOLD.nii.gz", required = true)]
    pub images: Vec<PathBuf>,
    /// One events.tsv an image; by default that beside it, of the same name
    #[arg(long, value_name = "FILE,…", value_delimiter = ',')]
    pub events: Vec<PathBuf>,
    /// Instead of events: a table with a row a volume, over all images (columns `run`, `trial_type`, `text`, …)
    #[arg(long, value_name = "FILE", conflicts_with = "events")]
    pub samples: Option<PathBuf>,
    /// Keep the voxels that are not 0 in this image
    #[arg(long, value_name = "IMAGE")]
    pub mask: Option<PathBuf>,
    /// The region of each voxel: a label image, dseg.nii.gz
    #[arg(long, value_name = "IMAGE")]
    pub dseg: Option<PathBuf>,
    /// What its labels are called: dseg.tsv, with columns `index` and `name`, perhaps `hemisphere` and `network`
    #[arg(long, value_name = "FILE", requires = "dseg")]
    pub labels: Option<PathBuf>,
    /// One column a label, the mean of its voxels
    #[arg(long, requires = "dseg")]
    pub mean: bool,
    /// Seconds a volume takes; by default what the images say
    #[arg(long, value_name = "SECONDS")]
    pub tr: Option<f64>,
    /// Take every column's mean and linear trend away within each run
    #[arg(long)]
    pub detrend: bool,
    /// Bring every column to mean 0 and deviation 1 within each run
    #[arg(long)]
    pub standardize: bool,
    /// The sentence of an event, with columns of events.tsv in braces; by default its column `text`, else `trial_type`
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
    /// Kinds of event that show nothing
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',', default_value = "rest")]
    pub rest: Vec<String>,
    /// Where it goes.
    #[command(flatten)]
    pub to: ImportTo,
}

/// `neurod encode import npz`
#[derive(Debug, Args)]
pub struct NpzArgs {
    /// The .npz file
    #[arg(value_name = "SRC.npz")]
    pub source: PathBuf,
    /// The array of responses, where it is not called `responses` or `Y`
    #[arg(long, value_name = "NAME")]
    pub responses: Option<String>,
    /// The arrays of features, where they are not called `features`, `X` or `features.NAME`
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub features: Vec<String>,
    /// Where it goes.
    #[command(flatten)]
    pub to: ImportTo,
}
