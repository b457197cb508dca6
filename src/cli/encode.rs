//! What was asked of `neurod encode`? Every command of it works on one folder of arrays, DATA.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `neurod encode`
#[derive(Debug, Subcommand)]
pub enum EncodeCommand {
    /// Turn what was shown into features: one space a model or layer
    ///
    /// Reads what runs.tsv says of each sample (column `text` for a text model, `image` for an image model, both for one of
    /// both, `text`, `regions` and perhaps `boxes` for one of detected regions; n/a where nothing was shown), or
    /// stimuli.tsv, a row a stimulus that runs.tsv names. Writes DATA/features/NAME.npy (samples ×
    /// dims; zeros where nothing was shown) and NAME.json, which says how it was made. Each different stimulus goes through
    /// the model once, and what was encoded is kept: a run that was cut short goes on where it stopped.
    #[command(after_help = "Examples:
  neurod encode features haxby --model models/minilm
  neurod encode features bold5000 --model models/vgg19 --layers all --stimuli scenes
  neurod encode features data --model models/beit --model models/roberta --skip-bad")]
    Features(FeaturesArgs),
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
  neurod encode evaluate data --features vgg19,roberta --scale space --lambda auto --folds k=10 --out fused")]
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
    /// In what units features count, measured over the teaching rows of each fold: as they are; each space with the same
    /// total variance; or each column with mean 0 and variance 1
    #[arg(long, value_enum, default_value_t = ScaleArg::None)]
    pub scale: ScaleArg,
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

/// `neurod encode features`
#[derive(Debug, Args)]
pub struct FeaturesArgs {
    /// The folder of arrays
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    /// A model folder; may be repeated
    #[arg(long = "model", value_name = "DIR", required = true)]
    pub models: Vec<PathBuf>,
    /// Which of the layers in the model's manifest, one space each (NAME.LAYER.npy), all from one pass; by default the
    /// manifest's own output
    #[arg(long, value_name = "all|NAME,…", value_delimiter = ',')]
    pub layers: Vec<String>,
    /// Where the files lie that are named; by default DATA/stimuli
    #[arg(long, value_name = "DIR")]
    pub stimuli: Option<PathBuf>,
    /// What the space is called, once for each model; by default the name of its folder
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
    /// How many stimuli go through the model together, where it takes several
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub batch: usize,
    /// How many batches are computed at a time, each by a copy of the model; by default one a core, 4 at most
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,
    /// Where features are kept from run to run; by default DATA/features/.cache
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Write NaN in the rows of stimuli that cannot be encoded, and say which; `evaluate` leaves such rows out
    #[arg(long)]
    pub skip_bad: bool,
    /// Encode the beginning of texts that are longer than the model takes; otherwise they count as bad
    #[arg(long)]
    pub cut: bool,
    /// Print what was made as JSON
    #[arg(long)]
    pub json: bool,
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

/// In what units features count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScaleArg {
    /// As they are
    None,
    /// Each space divided by one number: its columns' variances add up to 1
    Space,
    /// Each column less its mean, divided by its standard deviation
    Column,
}

/// By what λ is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Score {
    /// The least mean squared error, as himalaya
    Loss,
    /// The largest R², as scikit-learn
    R2,
}
