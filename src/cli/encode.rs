//! What was asked of `neurod encode`? Every command of it works on one folder of arrays, DATA.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::import::ImportCommand;

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
    /// it; `level` says whether it is a region, a region in one hemisphere such as LHPPA, a hemisphere or a network),
    /// voxels.tsv, summary.json, report.html, and figures/ as SVG and PNG.
    #[command(after_help = "Examples:
  neurod encode evaluate haxby --lambda 10 --folds runs --out haxby-scores
  neurod encode evaluate data --lambda auto --folds k=10 --out scores
  neurod encode evaluate data --lambda grid --grid 1,10,100 --delays 1,2,3,4 --folds runs --out scores
  neurod encode evaluate data --features vgg19,roberta --scale space --lambda auto --folds k=10 --out fused
  neurod encode evaluate data --folds by=subject --out across-subjects
  neurod encode evaluate data --train condition=abstract --test condition=concrete --out scores
  neurod encode evaluate bold5000 --paper --out as-released")]
    Evaluate(EvaluateArgs),
    /// Fit a model to all samples, or to some, and write it into one file, for `encode predict` and for the daemon
    ///
    /// λ is chosen as `encode evaluate` chooses it for all samples. With --paper it is
    /// what `evaluate --paper` writes into voxels.tsv. Delays, or the haemodynamic response, go into the file. It holds weights, intercepts, λ, names, what the
    /// features were and what made it (docs/model.md); and the moments of the samples, from which a daemon
    /// (`[predictors.NAME] model = "FILE"`) learns on as if it had seen them itself.
    #[command(after_help = "Examples:
  neurod encode fit haxby --lambda 10 --delays 1,2,3,4 --tr 2.5 --out haxby.neurod
  neurod encode fit data --lambda auto --folds runs --hrf spm --tr 2 --out data.neurod --export-weights W.npy
  neurod encode fit data --train condition=abstract --out abstract.neurod
  neurod encode fit bold5000 --paper --out as-released.neurod")]
    Fit(FitArgs),
    /// Identify stimuli from responses: rank all candidates by the model that never saw them, out of fold
    ///
    /// The candidates are the stimuli of the same fold (runs.tsv, column `stimulus`; repeats are averaged), or its samples
    /// where there is no such column or the features have delays or a response. They are ranked by the log-likelihood of the measured
    /// response under each prediction; the residual variance of a voxel comes from the other folds. DIR gets
    /// identification.tsv (a row each) and summary.json; chance stands beside every score.
    #[command(after_help = "Examples:
  neurod encode identify data --lambda auto --folds k=10 --out identified
  neurod encode identify haxby --lambda 10 --folds runs --by cosine --out identified")]
    Identify(IdentifyArgs),
    /// Predict responses to the features of a dataset from a fitted model
    ///
    /// DATA needs the model's feature spaces, and runs.tsv where the model has delays or a haemodynamic response; no
    /// responses.
    #[command(after_help = "Examples:
  neurod encode predict haxby.neurod new-stimuli --out predictions.npy")]
    Predict(PredictArgs),
    /// Turn a data set, as it is released or recorded, into a folder of arrays
    ///
    /// DATA gets responses.npy, runs.tsv, regions.tsv, and import.json with the hashes of what it was made from; features
    /// as well, where the source has some. It appears whole or not at all.
    #[command(subcommand)]
    Import(ImportCommand),
    /// Evaluate every feature space on the same folds, and say which is best, where, and how surely
    ///
    /// Each features/NAME.npy of DATA is a model of its own; NAME.LAYER.npy are the layers of NAME. DIR gets scores.tsv
    /// (as of `evaluate`, with a column `features`), voxels.tsv (r of every voxel and feature space), differences.tsv
    /// (the best feature space against each other, over the same draws, with p and q), partition.tsv, summary.json, report.html, and
    /// figures/ as SVG and PNG. Of several DATA, one a subject, each has a folder in DIR, and DIR the means over subjects.
    #[command(after_help = "Examples:
  neurod encode compare data --folds runs --out compared
  neurod encode compare data --fuse resnet50+roberta --folds k=10 --out compared
  neurod encode compare data --permutations 10000 --folds runs --out compared
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
    /// Convolve the features with a canonical haemodynamic response, within runs (with --tr)
    #[arg(long, value_enum, requires = "tr", conflicts_with = "delays")]
    pub hrf: Option<Hrf>,
    /// Seconds between samples: for --hrf, and for a fitted model to know its delays in seconds
    #[arg(long, value_name = "SECONDS")]
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
    #[arg(long, conflicts_with_all = ["lambda", "grid", "score", "no_centre", "folds", "train", "delays", "hrf", "banded"])]
    pub paper: bool,
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

/// How samples are divided into parts.
#[derive(Clone, Debug, Args)]
pub struct DivisionArgs {
    /// How samples are divided: `runs`, `k=10` (consecutive), `shuffle=10`, or `by=COLUMN` of runs.tsv: one value of it is
    /// predicted from all others (`by=subject`)
    #[arg(long, default_value = "k=10", value_name = "runs|k=N|shuffle=N|by=COLUMN")]
    pub folds: String,
    /// Let samples of one stimulus teach and be predicted in one fold; how many is told
    #[arg(long)]
    pub keep_repeats: bool,
    /// What everything random is drawn by: folds, mixes, intervals, permutations
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// How samples are divided: into parts, or once.
#[derive(Clone, Debug, Args)]
pub struct FoldArgs {
    /// Into parts.
    #[command(flatten)]
    pub by: DivisionArgs,
    /// Only samples with this value in a column of runs.tsv teach (with --test)
    #[arg(long, value_name = "COLUMN=VALUE", requires = "test", conflicts_with = "folds")]
    pub train: Option<String>,
    /// Only samples with this value in a column of runs.tsv are predicted and scored (with --train)
    #[arg(long, value_name = "COLUMN=VALUE", requires = "train", conflicts_with = "folds")]
    pub test: Option<String>,
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

/// `neurod encode fit`
#[derive(Debug, Args)]
pub struct FitArgs {
    /// What is fitted to what.
    #[command(flatten)]
    pub model: ModelArgs,
    /// How samples are divided where λ is chosen.
    #[command(flatten)]
    pub by: DivisionArgs,
    /// Only samples with this value in a column of runs.tsv teach, and λ is chosen as `evaluate --train` chooses it
    #[arg(long, value_name = "COLUMN=VALUE", conflicts_with = "folds")]
    pub train: Option<String>,
    /// The model's file
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// What responses are counted in: uV, uV2, z, psc or a.u.; live regions must agree, unless it is a.u.
    #[arg(long, default_value = "a.u.", value_name = "UNIT")]
    pub unit: String,
    /// Leave the moments out: a file of features × voxels numbers only, that never learns on
    #[arg(long)]
    pub no_moments: bool,
    /// Write the weights too, as an array of features × voxels
    #[arg(long, value_name = "FILE")]
    pub export_weights: Option<PathBuf>,
    /// Print what was fitted as JSON
    #[arg(long)]
    pub json: bool,
}

/// `neurod encode identify`
#[derive(Clone, Debug, Args)]
pub struct IdentifyArgs {
    /// What is fitted to what.
    #[command(flatten)]
    pub model: ModelArgs,
    /// How samples are divided.
    #[command(flatten)]
    pub folds: FoldArgs,
    /// By what candidates are ranked
    #[arg(long, value_enum, default_value_t = RankBy::Likelihood)]
    pub by: RankBy,
    /// Where the results go; made if it is not there
    #[arg(long, short, value_name = "DIR")]
    pub out: PathBuf,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// `neurod encode compare`
#[derive(Clone, Debug, Args)]
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
    /// How often the predictions of the best and each other feature space are exchanged, by runs (without runs: by stretches
    /// of ten samples), for the p and false discovery rate of every difference; all predictions are then kept in memory
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub permutations: usize,
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

/// By what candidates are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RankBy {
    /// The Gaussian log-likelihood of the measured response
    Likelihood,
    /// The cosine of measured and predicted response, as in 2V2
    Cosine,
}

/// `neurod encode predict`
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// A model that `encode fit` wrote
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// The folder of arrays
    #[arg(value_name = "DATA")]
    pub data: PathBuf,
    /// Where the predictions go: samples × voxels
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
}

/// A canonical haemodynamic response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Hrf {
    /// SPM's: peak at 5 s, undershoot at 15 s
    Spm,
    /// Glover's (1999, NeuroImage 9:416): as nilearn has it
    Glover,
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
