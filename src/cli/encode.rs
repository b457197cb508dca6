//! What was asked of `neurod encode`? Every command of it works on one folder of arrays, DATA.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `neurod encode`
#[derive(Debug, Subcommand)]
pub enum EncodeCommand {
    /// Predict every sample from weights that never saw it, and say how well
    ///
    /// DATA is a folder with features.npy (samples × features) or features/NAME.npy (one a feature space), and
    /// responses.npy (samples × voxels); perhaps runs.tsv (columns `run`, `stimulus`) and regions.tsv (columns `region`,
    /// `voxel`, `hemisphere`, `network`). Samples of one stimulus never stand on both sides. DIR gets predictions.npy,
    /// scores.tsv (a row per region and metric, with its 95 % bootstrap interval and the mean-pattern baseline beside
    /// it), voxels.tsv, summary.json and report.html.
    #[command(after_help = "Examples:
  neurod encode evaluate haxby --lambda 10 --folds runs --out haxby-scores
  neurod encode evaluate data --lambda auto --folds k=10 --out scores
  neurod encode evaluate data --lambda grid --grid 1,10,100 --delays 1,2,3,4 --folds runs --out scores
  neurod encode evaluate data --folds by=subject --out across-subjects
  neurod encode evaluate data --train condition=abstract --test condition=concrete --out scores
  neurod encode evaluate bold5000 --paper --out as-released")]
    Evaluate(EvaluateArgs),
}

/// What is fitted to what.
#[derive(Clone, Debug, Args)]
pub struct ModelArgs {
    /// The folder of arrays
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    /// Which feature spaces (features/NAME.npy), side by side; by default all
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub features: Vec<String>,
    /// λ: a number, `grid` (the best of the grid for all voxels) or `auto` (the best for each voxel)
    #[arg(long, default_value = "auto", value_name = "N|grid|auto")]
    pub lambda: String,
    /// The grid; by default 20 values from 0.1 to 1e8, evenly spaced in their logarithm
    #[arg(long, value_name = "N,N,…", value_delimiter = ',')]
    pub grid: Vec<f64>,
    /// By what λ is chosen in folds of the teaching rows: least squared error, or largest R²
    #[arg(long, value_enum, default_value_t = Score::Loss)]
    pub score: Score,
    /// Delays of the features in samples, within runs: one copy of the features each
    #[arg(long, value_name = "N,N,…", value_delimiter = ',')]
    pub delays: Vec<usize>,
    /// Convolve the features with a canonical haemodynamic response, within runs (with --tr)
    #[arg(long, value_enum, requires = "tr", conflicts_with = "delays")]
    pub hrf: Option<Hrf>,
    /// Seconds between samples
    #[arg(long, value_name = "SECONDS", requires = "hrf")]
    pub tr: Option<f64>,
    /// Do not centre features and responses
    #[arg(long)]
    pub no_centre: bool,
    /// Penalise each feature space by itself (banded ridge): so many random mixes of them are tried, with every λ, and each
    /// voxel takes the best [default: 20]
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20")]
    pub banded: Option<NonZeroUsize>,
    /// Exactly as the released code of "Visio-Linguistic Brain Encoding" (Oota et al. 2022): not centred, ten consecutive
    /// folds, in each of them the best λ of 1e-6 … 1e9 for each voxel by R² in ten consecutive folds, and repeats of a
    /// stimulus on both sides
    #[arg(long, conflicts_with_all = ["lambda", "grid", "score", "no_centre", "folds", "train", "test", "delays", "hrf", "banded"])]
    pub paper: bool,
}

/// How samples are divided.
#[derive(Clone, Debug, Args)]
pub struct FoldArgs {
    /// How samples are divided: `runs`, `k=10` (consecutive), `shuffle=10`, or `by=COLUMN` of runs.tsv: one value of it is
    /// predicted from all others (`by=subject`)
    #[arg(long, default_value = "k=10", value_name = "runs|k=N|shuffle=N|by=COLUMN")]
    pub folds: String,
    /// Only samples with this value in a column of runs.tsv teach (with --test)
    #[arg(long, value_name = "COLUMN=VALUE", requires = "test", conflicts_with = "folds")]
    pub train: Option<String>,
    /// Only samples with this value in a column of runs.tsv are predicted and scored (with --train)
    #[arg(long, value_name = "COLUMN=VALUE", requires = "train", conflicts_with = "folds")]
    pub test: Option<String>,
    /// Let samples of one stimulus teach and be predicted in one fold; how many is told
    #[arg(long)]
    pub keep_repeats: bool,
    /// What everything random is drawn by: folds, mixes, intervals, permutations
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// `neurod encode evaluate`
#[derive(Clone, Debug, Args)]
pub struct EvaluateArgs {
    /// What is fitted to what.
    #[command(flatten)]
    pub model: ModelArgs,
    /// How samples are divided.
    #[command(flatten)]
    pub folds: FoldArgs,
    /// Permutations of runs (without runs: of stretches of ten samples) for each voxel's p and false discovery rate
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub permutations: usize,
    /// Where the results go; made if it is not there
    #[arg(long, short, value_name = "DIR")]
    pub out: PathBuf,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// A canonical haemodynamic response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Hrf {
    /// SPM's: peak at 5 s, undershoot at 15 s
    Spm,
    /// Glover's (1999, NeuroImage 9:416): as nilearn has it
    Glover,
}

/// By what λ is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Score {
    /// The least mean squared error, as himalaya
    Loss,
    /// The largest R², as scikit-learn
    R2,
}
