//! What was asked for on the command line? Raw values only; `commands` validates them.

mod encode;
mod import;
mod network;
mod regions;
mod scanner;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use encode::{
    CompareArgs, DivisionArgs, EncodeCommand, EvaluateArgs, FeaturesArgs, FitArgs, FoldArgs, Hrf, IdentifyArgs,
    ModelArgs, PredictArgs, RankBy, ReportArgs, ScaleArg, Score,
};
pub use import::{BidsArgs, Bold5000Args, ImportCommand, ImportTo, NpzArgs, PereiraArgs};
pub use network::{
    BaselineArg, BenchmarkArgs, BuildArgs, EffectArg, ExplainArgs, FingerprintArgs, KindArg, MethodArg, NetworkCommand,
    PredictNetworksArgs, QuestionArgs, ShrinkageArg, SignArg, SynthesizeArgs, Task, TrainArgs, WeightArg,
};
pub use regions::{RegionsArgs, Resampling};
pub use scanner::{ScanFormat, ScannerArgs};

/// neurod: live EEG and fMRI in, learned brain-region activity out.
///
/// Start with `neurod demo`; `make assets` fetches what it plays. Then `neurod streams` shows what is on your network,
/// `neurod check --config FILE` shows what a configuration would do, and `neurod run --config FILE` does it.
#[derive(Debug, Parser)]
#[command(
    name = "neurod",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to log: error, warn, info, debug, trace, or a filter such as `info,neurod::ridge=debug`
    #[arg(long, global = true, help_heading = "Logging", value_name = "FILTER", env = "NEUROD_LOG")]
    pub log: Option<String>,
    /// Log as JSON, one object a line
    #[arg(long, global = true, help_heading = "Logging")]
    pub log_json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon: read sources, learn, publish, until SIGTERM
    #[command(after_help = "Examples:
  neurod run --config lab.toml
  neurod run --config lab.toml --config today.toml
  NEUROD__SERVICE__LISTEN=127.0.0.1:9000 neurod run --config lab.toml")]
    Run(ConfigArgs),
    /// Check a configuration without touching a device: what it resolves to, and the shape after every stage
    #[command(after_help = "Examples:
  neurod check --config config/eeg-lsl.toml
  neurod check --config lab.toml --json")]
    Check(CheckArgs),
    /// Learn from real recordings, then watch an eleventh person live
    ///
    /// The data are real: 33 people feel heat and rate it, while fMRI of 122 brain regions is taken every 2 seconds. Each
    /// stimulus becomes a sentence, a text model turns it into 384 numbers, and ridge regression learns, volume by
    /// volume, what each region does next. Every prediction is scored before its volume is learned from.
    #[command(after_help = "Examples:
  neurod demo
  neurod demo --people 13 --speed 50 --listen 127.0.0.1:9000
  neurod demo --people all --speed max --summary demo.json")]
    Demo(DemoArgs),
    /// Play a recording: through a configuration's predictors, or as live LSL streams with --lsl
    #[command(after_help = "Examples:
  neurod replay --config config/demo.toml --out frames.jsonl
  neurod replay scan.tsv --tr 2 --events events.tsv --lsl Regions
  neurod replay recording.edf --lsl")]
    Replay(ReplayArgs),
    /// List the LSL streams in sight
    #[command(after_help = "Examples:
  neurod streams
  neurod streams --wait 5 --json")]
    Streams(StreamsArgs),
    /// Say what this machine lacks, and how to mend it
    ///
    /// Ends with 69 where a library is missing that is needed (with a configuration: that this one needs), and with 77
    /// where checkpoints cannot be written. Whatever is only advice is no failure.
    #[command(after_help = "Examples:
  neurod doctor
  neurod doctor --config lab.toml --json")]
    Doctor(DoctorArgs),
    /// Make region time series of a 4D image, as a live session makes them
    ///
    /// One row a volume, one column a region: the mean of its voxels. An atlas on another grid is brought onto that of the
    /// image once; both must lie in one space, or --affine leads from one to the other. A 4D atlas holds a map a region, whose
    /// weighted means are taken. With --realign every volume is moved back to where the first one
    /// lay, and a second table says how far it had moved.
    #[command(after_help = "Examples:
  neurod regions bold.nii.gz --atlas labels.nii.gz --labels dseg.tsv --realign --regressors 24 --out regions.tsv
  neurod regions bold.nii.gz --atlas maps.nii.gz --affine mni-to-epi.txt --out regions.tsv
  neurod regions bold.nii.gz --mask brain.nii.gz --smooth 5 --out voxels.tsv")]
    Regions(RegionsArgs),
    /// Encoding models offline: how well do features predict the brain?
    #[command(
        subcommand,
        after_help = "Examples:
  neurod encode evaluate data --lambda auto --folds runs --out scores"
    )]
    Encode(EncodeCommand),
    /// Brain networks: build them, learn from them, find what they turn on
    #[command(
        subcommand,
        after_help = "Examples:
  neurod network build scans --kind pearson --fisher-z --out networks.npz
  neurod network benchmark networks.npz --labels participants.tsv:diagnosis --models all --folds 5 --out results"
    )]
    Network(NetworkCommand),
    /// Export a recording volume by volume, as a scanner would, with the faults that scanners have
    #[command(after_help = "Examples:
  neurod scanner bold.nii.gz --to export --format mosaic --speed 10 --faults drop=0.02,duplicate=0.01 --seed 7
  neurod scanner bold.nii.gz --to export --jitter 0.4 --triggers TTL
  neurod scanner regions.tsv --atlas labels.nii.gz --voxel-size 3 --tr 2 --to export")]
    Scanner(ScannerArgs),
    /// Measure this machine: filter, ridge, prediction
    #[command(after_help = "Examples:
  neurod bench
  neurod bench --only predict --json")]
    Bench(BenchArgs),
}

/// Where the configuration is.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// A TOML file; several are layered, the last one wins. NEUROD__SECTION__KEY=value in the environment wins over all
    #[arg(long, short, required = true, value_name = "FILE")]
    pub config: Vec<PathBuf>,
}

/// `neurod check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `neurod demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How many people to play, 11 to 33: learn from the first ten, score the others
    #[arg(long, default_value = "11", value_name = "N|all")]
    pub people: String,
    /// How fast the people after the tenth are played: a factor of real time, or `max`
    #[arg(long, default_value = "20", value_name = "N|max", allow_negative_numbers = true)]
    pub speed: String,
    /// Write the summary as JSON
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
    /// Where the text model and the data are
    #[arg(long, value_name = "DIR", env = "NEUROD_CACHE", default_value = ".cache")]
    pub cache: PathBuf,
    /// Where to serve the live view
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9464")]
    pub listen: String,
}

/// `neurod replay`
#[derive(Debug, Args)]
#[command(override_usage = "neurod replay [OPTIONS] --config <FILE>
       neurod replay [OPTIONS] <FILE> --lsl [<NAME>]")]
#[command(group = clap::ArgGroup::new("what").args(["file", "config", "lsl"]).required(true).multiple(true))]
pub struct ReplayArgs {
    /// A recording to play as a live LSL stream: .tsv/.csv table, .nii/.nii.gz, .edf, .bdf
    #[arg(value_name = "FILE", requires = "lsl")]
    pub file: Option<PathBuf>,
    /// A configuration whose sources are recordings: play it to the end and write the frames as JSON lines
    #[arg(long, short, value_name = "FILE", conflicts_with = "file")]
    pub config: Vec<PathBuf>,
    /// Send FILE out as LSL streams: NAME for the samples, NAME-events for the events
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "replay")]
    pub lsl: Option<String>,
    /// How fast FILE is played: a factor of real time, by default 1. A configuration is played as fast as possible
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub speed: Option<String>,
    /// Events that belong to FILE: BIDS events.tsv
    #[arg(long, value_name = "FILE", requires = "file")]
    pub events: Option<PathBuf>,
    /// Seconds between the rows of a table of regions, or the volumes of a NIfTI file that does not say
    #[arg(long, value_name = "SECONDS", requires = "file", allow_negative_numbers = true)]
    pub tr: Option<f64>,
    /// Samples a second of a table of EEG that has no column `time`
    #[arg(long, value_name = "HZ", requires = "file", allow_negative_numbers = true)]
    pub rate: Option<f64>,
    /// A label image, to make regions of a 4D NIfTI file
    #[arg(long, value_name = "FILE", requires = "file")]
    pub labels: Option<PathBuf>,
    /// Where the frames of a configuration go; `-` is standard output
    #[arg(long, short, value_name = "FILE", default_value = "-", conflicts_with = "file")]
    pub out: PathBuf,
    /// Print the summary of a configuration as JSON, on standard error
    #[arg(long, conflicts_with = "file")]
    pub json: bool,
}

/// `neurod streams`
#[derive(Debug, Args)]
pub struct StreamsArgs {
    /// How long to look, in seconds
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS", value_parser = wait, allow_negative_numbers = true)]
    pub wait: f64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn wait(text: &str) -> Result<f64, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds.ok_or("give a number of seconds from 0 to 3600")
}

/// `neurod doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// A configuration whose needs to look for; several are layered
    #[arg(long, short, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `neurod bench`
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Which measurement
    #[arg(long, value_enum, value_name = "WHAT")]
    pub only: Option<Bench>,
}

/// What `neurod bench` can measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bench {
    /// Four second-order sections over 64 channels × 32 samples
    Iir,
    /// One ridge update, 300 features × 1000 regions
    Ridge,
    /// One sample block through filter and predict, 64 channels, 400 regions
    Predict,
    /// The same hop with band power
    BandPower,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_has_examples_and_every_example_is_understood() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> = help.lines().filter(|line| line.starts_with("  ")).collect();
            assert!((1..=3).contains(&examples.len()), "{}: {help}", command.get_name());
            for example in examples {
                // Variables for the environment stand before the program.
                let words = example.split_whitespace().skip_while(|word| word.contains('='));
                let parsed = Cli::try_parse_from(words.clone());
                assert!(parsed.is_ok(), "{example}: {}", parsed.err().map(|e| e.to_string()).unwrap_or_default());
                assert_eq!(words.take(2).collect::<Vec<_>>(), ["neurod", command.get_name()]);
            }
        }
    }

    #[test]
    fn the_command_line_fits_together() {
        Cli::command().debug_assert();
    }
}
