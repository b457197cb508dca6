//! What was asked of `neurod encode`? Every command of it works on one folder of arrays, DATA.

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
    /// it; `level` says whether it is a region, a region in one hemisphere such as LHPPA, a hemisphere or a network),
    /// voxels.tsv, summary.json, report.html, and figures/ as SVG and PNG.
    #[command(after_help = "Examples:
  neurod encode evaluate haxby --lambda 10 --folds runs --out haxby-scores
  neurod encode evaluate data --lambda auto --folds k=10 --out scores
  neurod encode evaluate data --lambda grid --grid 1,10,100 --delays 1,2,3,4 --folds runs --out scores")]
    Evaluate(EvaluateArgs),
    /// Evaluate every feature space on the same folds, and say which is best, where, and how surely
    ///
    /// Each features/NAME.npy of DATA is a model of its own; NAME.LAYER.npy are the layers of NAME. DIR gets scores.tsv
    /// (as of `evaluate`, with a column `features`), voxels.tsv (r of every voxel and feature space), differences.tsv
    /// (the best feature space against each other, over the same draws), partition.tsv, summary.json, report.html, and
    /// figures/ as SVG and PNG. Of several DATA, one a subject, each has a folder in DIR, and DIR the means over subjects.
    #[command(after_help = "Examples:
  neurod encode compare data --folds runs --out compared
  neurod encode compare data --fuse resnet50+roberta --folds k=10 --out compared
  neurod encode compare CSI1 CSI2 CSI3 CSI4 --features clip,vit,roberta --partition --out compared")]
    Compare(CompareArgs),
    /// Draw the page again, from one or several folders of results
    ///
    /// Results of the same responses stand side by side; of other responses they are subjects, and averaged.
    #[command(after_help = "Examples:
  neurod encode report scores --out page.html
  neurod encode report CSI1 CSI2 CSI3 CSI4 --out subjects.html --figures figures")]
    Report(ReportArgs),
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
    /// Do not centre features and responses
    #[arg(long)]
    pub no_centre: bool,
}

/// How samples are divided.
#[derive(Clone, Debug, Args)]
pub struct FoldArgs {
    /// How samples are divided: `runs`, `k=10` (consecutive), or `shuffle=10`
    #[arg(long, default_value = "k=10", value_name = "runs|k=N|shuffle=N")]
    pub folds: String,
    /// What everything random is drawn by: folds, intervals, permutations
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// `neurod encode evaluate`
#[derive(Debug, Args)]
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

/// `neurod encode compare`
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// What is fitted to what.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Other subjects' folders of arrays
    #[arg(value_name = "DATA2")]
    pub more: Vec<PathBuf>,
    /// How samples are divided.
    #[command(flatten)]
    pub folds: FoldArgs,
    /// Feature spaces that are evaluated side by side as well, as one: a+b; may be given again
    #[arg(long, value_name = "NAME+NAME…")]
    pub fuse: Vec<String>,
    /// Divide the explained variance between two to four feature spaces
    #[arg(long)]
    pub partition: bool,
    /// Where the results go; made if it is not there
    #[arg(long, short, value_name = "DIR")]
    pub out: PathBuf,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// `neurod encode report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Folders of results, of `evaluate` or `compare`
    #[arg(value_name = "DIR", required = true)]
    pub results: Vec<PathBuf>,
    /// The page
    #[arg(long, short, value_name = "PAGE")]
    pub out: PathBuf,
    /// A folder for the figures as SVG and PNG
    #[arg(long, value_name = "DIR")]
    pub figures: Option<PathBuf>,
}

/// By what λ is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Score {
    /// The least mean squared error, as himalaya
    Loss,
    /// The largest R², as scikit-learn
    R2,
}
