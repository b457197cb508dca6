//! What can be asked of people who are to be known by their networks?

use std::path::PathBuf;

use clap::Args;

/// `neurod network fingerprint`
#[derive(Clone, Debug, Args)]
pub struct FingerprintArgs {
    /// A folder of tables, volumes × regions; a file's name begins with its participant, up to the first _
    pub data: PathBuf,
    /// What the names of the first session's files contain: these people are looked for
    #[arg(long, value_name = "TEXT")]
    pub first: String,
    /// What the names of the second session's files contain: they are looked for here
    #[arg(long, value_name = "TEXT")]
    pub second: String,
    /// How many volumes are seen of each session
    #[arg(long, value_name = "VOLUMES", value_delimiter = ',', default_values_t = [20, 60, 100])]
    pub windows: Vec<usize>,
    /// How many volumes at the beginning of each session are passed over
    #[arg(long, value_name = "VOLUMES", default_value_t = 0)]
    pub skip: usize,
    /// Columns that are no region
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub drop_columns: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
