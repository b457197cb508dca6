//! What is there to make networks of? Scans of a folder or of one file, cut as asked, and each handed on as it is read.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use ndarray::{Array2, Array3, Axis};

use crate::cli::{BuildArgs, KindArg};
use crate::datasets::scans::{
    Cut, Published, Regions, Request, Series, TABLES, find, published, read_matrix, read_series, requests,
};
use crate::datasets::tracts::{Labels, count};
use crate::parallel;

/// What is made of one sample, by the caller.
pub type Make<'a, T> = dyn Fn(&str, Array2<f64>) -> anyhow::Result<T> + Sync + 'a;

/// Samples and what was made of each.
pub struct Gathered<T> {
    /// Of each its name, its person and its label.
    pub samples: Vec<(String, String, String)>,
    /// What was made of it.
    pub made: Vec<T>,
    /// The regions' names, unique.
    pub regions: Vec<String>,
    /// Where they lie.
    pub coordinates: Option<Array2<f64>>,
    /// What one should know.
    pub notes: Vec<String>,
}

/// Reads every sample of `args.data`, and gives it to `make`: a time series, or with `given` a matrix.
///
/// # Errors
/// What cannot be read; scans of other regions; a cut without a volume; what `make` says.
pub fn gather<T: Send>(
    args: &BuildArgs,
    given: bool,
    bar: &ProgressBar,
    make: &Make<'_, T>,
) -> anyhow::Result<Gathered<T>> {
    if args.data.is_dir() { folder(args, given, bar, make) } else { file(args, given, bar, make) }
}

fn folder<T: Send>(
    args: &BuildArgs,
    given: bool,
    bar: &ProgressBar,
    make: &Make<'_, T>,
) -> anyhow::Result<Gathered<T>> {
    let endings = if args.kind == KindArg::Streamlines { &TRACTS[..] } else { &TABLES };
    let all = requests(&args.data, endings, args.matching.as_deref())?;
    let tally = Tally::default();
    if args.tr.is_none() && all.iter().any(|request| request.cut != Cut::Whole) {
        bail!("{}: samples.tsv cuts scans, which takes the seconds of a volume (--tr SECONDS)", args.data.display());
    }
    // A scan is read once, whatever is cut from it.
    let mut scans: Vec<Vec<usize>> = Vec::new();
    for (index, request) in all.iter().enumerate() {
        let same = |scan: &&mut Vec<usize>| {
            scan.first().and_then(|first| all.get(*first)).is_some_and(|first| first.file == request.file)
        };
        match scans.iter_mut().rev().find(same) {
            Some(scan) => scan.push(index),
            None => scans.push(vec![index]),
        }
    }
    bar.set_length(scans.len() as u64);
    let listed = regions(args)?;
    let done = parallel::map(scans.len(), |scan| {
        let asked = scans.get(scan).into_iter().flatten().filter_map(|index| Some((*index, all.get(*index)?)));
        let asked: Vec<(usize, &Request)> = asked.collect();
        let made = one_scan(args, given, &asked, &tally, make);
        bar.inc(1);
        made
    });
    let (mut names, mut first, mut made) = (None::<Vec<String>>, "", Vec::new());
    for (scan, done) in scans.iter().zip(done) {
        let (columns, count, parts) = done?;
        let of = scan.first().and_then(|index| all.get(*index)).map_or("", |request| &request.name);
        let own = if columns.is_empty() { numbered(count) } else { columns };
        match &names {
            None => (names, first) = (Some(own), of),
            Some(names) => same_regions(names, first, &own, of)?,
        }
        made.extend(parts);
    }
    made.sort_by_key(|(index, _)| *index);
    let (names, coordinates) = named(names.unwrap_or_default(), listed)?;
    Ok(Gathered {
        samples: all.into_iter().map(|request| (request.name, request.participant, request.label)).collect(),
        made: made.into_iter().map(|(_, made)| made).collect(),
        regions: names,
        coordinates,
        notes: tally.notes(),
    })
}

/// Endings of files of streamlines.
const TRACTS: [&str; 2] = ["tck", "trk"];

/// What became of streamlines.
#[derive(Default)]
struct Tally {
    all: AtomicUsize,
    short: AtomicUsize,
    outside: AtomicUsize,
}

impl Tally {
    fn notes(&self) -> Vec<String> {
        let [all, short, outside] = [&self.all, &self.short, &self.outside].map(|count| count.load(Ordering::Relaxed));
        match all {
            0 => Vec::new(),
            _ => vec![format!(
                "of {all} streamlines {short} have too few points, and {outside} end outside every region"
            )],
        }
    }
}

/// The streamlines of a file between the regions of its label image.
fn streamlines(args: &BuildArgs, path: &Path, tally: &Tally) -> anyhow::Result<Series> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let parcels = match &args.parcels {
        Some(image) => image.clone(),
        None => match &find(folder, &["nii", "nii.gz"], Some("dseg"))?[..] {
            [only] => only.clone(),
            several => bail!("{}: {} label images beside it (--parcels IMAGE chooses)", path.display(), several.len()),
        },
    };
    let labels = Labels::read(&parcels)?;
    let counts = count(path, &labels, args.least_points)?;
    for (into, more) in
        [(&tally.all, counts.streamlines), (&tally.short, counts.short), (&tally.outside, counts.outside)]
    {
        into.fetch_add(more, Ordering::Relaxed);
    }
    let names = labels.labels.iter().map(|label| format!("LABEL{label}")).collect();
    Ok(Series { names, values: counts.matrix })
}

/// The names and the number of regions of a scan, and what was made of each of its samples.
type Scan<T> = (Vec<String>, usize, Vec<(usize, T)>);

fn one_scan<T>(
    args: &BuildArgs,
    given: bool,
    asked: &[(usize, &Request)],
    tally: &Tally,
    make: &Make<'_, T>,
) -> anyhow::Result<Scan<T>> {
    let Some((_, first)) = asked.first() else { bail!("a scan without a sample") };
    let Series { names, values } = match given {
        true if args.kind == KindArg::Streamlines => streamlines(args, &first.file, tally)?,
        true => read_matrix(&first.file)?,
        false => read_series(&first.file, &args.drop, args.transpose)?,
    };
    let (volumes, count) = values.dim();
    let mut made = Vec::new();
    for (index, request) in asked {
        let part = match (&request.cut, given) {
            (Cut::Whole, _) => values.clone(),
            (_, true) => bail!("{}: a matrix cannot be cut (leave onset and events of samples.tsv out)", request.name),
            (cut, false) => {
                let kept = cut.volumes(volumes, args.tr.unwrap_or_default());
                if kept.is_empty() {
                    bail!(
                        "{}: none of its {volumes} volumes lies in what samples.tsv asks for (do onsets count from the run's first \
                         volume? `offset` says when the run began; is --tr right?)",
                        request.name
                    );
                }
                values.select(Axis(0), &kept)
            }
        };
        made.push((*index, make(&request.name, part)?));
    }
    Ok((names, count, made))
}

fn file<T: Send>(args: &BuildArgs, given: bool, bar: &ProgressBar, make: &Make<'_, T>) -> anyhow::Result<Gathered<T>> {
    let Published { series, networks, labels, sites } = published(&args.data)?;
    let there = || networks.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let (stack, transposed): (&Array3<f64>, bool) = match (given, &series) {
        (false, Some(series)) => (series, true),
        (false, None) => bail!(
            "{}: holds networks and no time series (--kind given --array one of {})",
            args.data.display(),
            there()
        ),
        (true, _) => {
            let wanted = args.array.as_deref();
            let mut found = networks.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name));
            match (found.next(), found.next()) {
                (Some((_, stack)), None) => (stack, false),
                _ => bail!("{}: which networks? (--array one of {})", args.data.display(), there()),
            }
        }
    };
    let count = stack.dim().0;
    bar.set_length(count as u64);
    let width = count.to_string().len();
    let name = |sample: usize| format!("sub-{:0width$}", sample + 1);
    let made = parallel::map(count, |sample| {
        let own = stack.index_axis(Axis(0), sample);
        let own = if transposed { own.reversed_axes().to_owned() } else { own.to_owned() };
        bar.inc(1);
        make(&name(sample), own)
    });
    let sample = |index: usize| (name(index), name(index), labels.get(index).cloned().unwrap_or_default());
    let (names, coordinates) = named(numbered(stack.dim().1), regions(args)?)?;
    let mut notes = Vec::new();
    if !sites.is_empty() {
        let beside = args.out.with_extension("participants.tsv");
        let rows = (0..count)
            .map(|i| format!("{}\t{}\t{}\n", name(i), sample(i).2, sites.get(i).map_or("n/a", String::as_str)));
        let table = std::iter::once("participant_id\tlabel\tsite\n".to_owned()).chain(rows).collect::<String>();
        std::fs::write(&beside, table).with_context(|| format!("{}", beside.display()))?;
        notes.push(format!("sites are in {} (--group site)", beside.display()));
    }
    Ok(Gathered {
        samples: (0..count).map(sample).collect(),
        made: made.into_iter().collect::<anyhow::Result<Vec<T>>>()?,
        regions: names,
        coordinates,
        notes,
    })
}

fn numbered(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("REGION{number}")).collect()
}

fn regions(args: &BuildArgs) -> anyhow::Result<Option<Regions>> {
    let beside = args.data.join("regions.tsv");
    let path: Option<&Path> = match &args.regions {
        Some(path) => Some(path),
        None => beside.exists().then_some(beside.as_path()),
    };
    Ok(path.map(Regions::read).transpose()?)
}

fn named(names: Vec<String>, listed: Option<Regions>) -> anyhow::Result<(Vec<String>, Option<Array2<f64>>)> {
    match listed {
        None => Ok((names, None)),
        Some(listed) if listed.names.len() == names.len() => Ok((listed.names, listed.coordinates)),
        Some(listed) => {
            bail!("regions.tsv names {} regions where the scans have {}", listed.names.len(), names.len())
        }
    }
}

fn same_regions(names: &[String], first: &str, own: &[String], of: &str) -> anyhow::Result<()> {
    if names.len() != own.len() {
        bail!("{of}: {} regions where {first} has {} (one atlas for all)", own.len(), names.len());
    }
    match names.iter().zip(own).position(|(a, b)| a != b) {
        Some(at) => bail!(
            "{of}: region {} is {} where {first} has {} (the same regions in the same order)",
            at + 1,
            own.get(at).map_or("?", String::as_str),
            names.get(at).map_or("?", String::as_str)
        ),
        None => Ok(()),
    }
}
