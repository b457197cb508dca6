//! How do scans become networks.npz?

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, bail};
use clap::ValueEnum;
use ndarray::{Array2, Array3, Axis};

use super::gather::{Gathered, gather};
use crate::cli::{BuildArgs, KindArg, ShrinkageArg, SignArg, WeightArg};
use crate::commands::encode::progress;
use crate::datasets::networks::{sound, write};
use crate::datasets::participants::Participants;
use crate::datasets::scans::{People, TABLES, find, participant, read_matrix};
use crate::network::connectome::{Band, Kind, Shrinkage, Sign, TangentSpace, Threshold, connectome, fisher_z};
use crate::network::{Making, Networks};

/// One network, and what should be known of it.
struct Made {
    matrix: Array2<f64>,
    covariance: Option<Array2<f64>>,
    flat: usize,
    few: bool,
}

/// Builds.
///
/// # Errors
/// What was asked for does not go together; what [`gather`] says; a network that cannot be made; what the disk says.
pub fn run(args: &BuildArgs) -> anyhow::Result<()> {
    let threshold = args.threshold.as_deref().map(rule).transpose()?;
    let kind = kind(args)?;
    let shrinkage = match args.shrinkage {
        ShrinkageArg::LedoitWolf => Shrinkage::LedoitWolf,
        ShrinkageArg::None => Shrinkage::None,
    };
    let bar = progress(0, "scans");
    let gathered = gather(args, kind.is_none(), &bar, &|name, values| match kind {
        Some(kind) => {
            let few = values.nrows() <= values.ncols();
            let made = connectome(values.view(), kind, shrinkage, name)?;
            // Only what has an inverse has a tangent, whatever the edges are made of.
            let covariance = match (args.kind, shrinkage) {
                (KindArg::Tangent, _) | (_, Shrinkage::LedoitWolf) => made.covariance,
                _ => connectome(values.view(), Kind::Covariance, Shrinkage::LedoitWolf, name)?.covariance,
            };
            Ok(Made { matrix: made.matrix, covariance: Some(covariance), flat: made.flat, few })
        }
        None => Ok(Made { matrix: weights(args, name, values)?, covariance: None, flat: 0, few: false }),
    })?;
    bar.finish_and_clear();
    let Gathered { samples, made, regions, coordinates, mut notes } = gathered;
    let flat = made.iter().filter(|made| made.flat > 0).count();
    if flat > 0 {
        let most = made.iter().map(|made| made.flat).max().unwrap_or(0);
        notes.push(format!("{flat} samples have regions that never vary, up to {most}: those have 0 with all others"));
    }
    let few = made.iter().filter(|made| made.few).count();
    if few > 0 {
        notes.push(format!("{few} samples have no more volumes than regions: their networks are rough"));
    }
    let n = regions.len();
    let covariance = stack(made.iter().map(|made| made.covariance.as_ref()).collect::<Option<Vec<_>>>(), n)?;
    let mut matrices: Vec<Array2<f64>> = made.into_iter().map(|made| made.matrix).collect();
    if let (KindArg::Tangent, Some(covariance)) = (args.kind, &covariance) {
        let all: Vec<usize> = (0..matrices.len()).collect();
        let space = TangentSpace::fit(covariance.view(), &all)?;
        if !space.converged() {
            notes.push("the geometric mean was not found to 1e-7 in 30 steps".into());
        }
        matrices = covariance.axis_iter(Axis(0)).map(|matrix| space.transform(matrix)).collect::<Result<_, _>>()?;
        notes.push(
            "the reference is of all samples: good for looking and for `neurod network train`, not for testing a model (there, build \
             with another --kind, and let logistic-tangent or svm-tangent make one of each fold's training people)"
                .into(),
        );
    }
    notes.extend(shape(args, threshold, &mut matrices));
    let connectivity = stack(Some(matrices.iter().collect()), n)?.context("no sample")?;
    let participants: Vec<String> = samples.iter().map(|(_, person, _)| person.clone()).collect();
    let mut labels: Vec<String> = samples.iter().map(|(.., label)| label.clone()).collect();
    if let Some(column) = &args.label {
        label(args, column, &participants, &mut labels, &mut notes)?;
    }
    let mut views = BTreeMap::new();
    if let Some(folder) = &args.structural {
        views.insert("structural".to_owned(), structural(args, folder, &participants, &regions)?);
    }
    let made_here = !matches!(args.kind, KindArg::Given | KindArg::Streamlines);
    let making = Making {
        shrinkage: if made_here { named(args.shrinkage) } else { "none".into() },
        fisher_z: args.fisher_z,
        threshold: args.threshold.clone(),
        sign: (args.sign != SignArg::Keep).then(|| named(args.sign)),
    };
    let networks = Networks {
        kind: named(args.kind),
        making,
        connectivity,
        views,
        covariance,
        samples: samples.into_iter().map(|(name, ..)| name).collect(),
        participants,
        labels,
        regions,
        coordinates,
    };
    write(&args.out, &networks)?;
    report(args, &networks, &notes)
}

/// A choice as it is written on the command line.
fn named(choice: impl ValueEnum) -> String {
    choice.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn kind(args: &BuildArgs) -> anyhow::Result<Option<Kind>> {
    let kind = match args.kind {
        KindArg::Pearson => Kind::Pearson,
        KindArg::Spearman => Kind::Spearman,
        KindArg::Partial => Kind::Partial,
        KindArg::Tangent | KindArg::Covariance => Kind::Covariance,
        KindArg::Precision => Kind::Precision,
        KindArg::Coherence => {
            let ends = args.band.split_once('-').and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
            match (ends, args.tr) {
                (Some((low, high)), Some(tr)) if low < high && tr > 0.0 => Kind::Coherence(Band { low, high, tr }),
                (Some((low, high)), None) if low < high => {
                    bail!("--kind coherence needs the seconds of a volume (--tr SECONDS)")
                }
                _ => bail!("--band {}: give it as LOW-HIGH in Hz, e.g. 0.01-0.1", args.band),
            }
        }
        KindArg::Given | KindArg::Streamlines => {
            return match args.fisher_z {
                true => bail!("--fisher-z is of correlations that are made here (--kind pearson, spearman or partial)"),
                false => Ok(None),
            };
        }
    };
    if args.fisher_z && !matches!(kind, Kind::Pearson | Kind::Spearman | Kind::Partial) {
        bail!("--fisher-z is of correlations (--kind pearson, spearman or partial)");
    }
    if args.tr.is_some_and(|tr| !(tr > 0.0 && tr.is_finite())) {
        bail!("--tr {}: seconds, more than 0", args.tr.unwrap_or_default());
    }
    Ok(Some(kind))
}

fn rule(text: &str) -> anyhow::Result<Threshold> {
    let value = text.split_once(':').and_then(|(name, value)| Some((name, value.parse::<f64>().ok()?)));
    let share = |value: f64| (0.0..=1.0).contains(&value);
    match value {
        Some(("density", value)) if share(value) => Ok(Threshold::Density(value)),
        Some(("connected", value)) if share(value) => Ok(Threshold::Connected(value)),
        Some(("absolute", value)) if value >= 0.0 && value.is_finite() => Ok(Threshold::Absolute(value)),
        _ => bail!("--threshold {text}: density:SHARE, connected:SHARE (0 to 1) or absolute:LEAST (0 or more)"),
    }
}

/// Fisher's z, signs and threshold; what should be known of it.
fn shape(args: &BuildArgs, threshold: Option<Threshold>, matrices: &mut [Array2<f64>]) -> Vec<String> {
    let sign = match args.sign {
        SignArg::Keep => Sign::Keep,
        SignArg::Absolute => Sign::Absolute,
        SignArg::Positive => Sign::Positive,
        SignArg::Negative => Sign::Negative,
    };
    let (mut same, mut empty) = (0, 0);
    for matrix in matrices {
        same += if args.fisher_z { fisher_z(matrix) } else { 0 };
        sign.apply(matrix);
        if let Some(threshold) = threshold {
            threshold.apply(matrix);
        }
        empty += usize::from(matrix.indexed_iter().all(|((i, j), value)| i == j || *value == 0.0));
    }
    let mut notes = Vec::new();
    if same > 0 {
        notes.push(format!("{same} pairs of regions correlate by ±1: their z is ±18.7, the largest there is"));
    }
    if empty > 0 {
        notes.push(format!("{empty} networks have no edge"));
    }
    notes
}

/// A matrix that was made elsewhere, symmetric and scaled.
fn weights(args: &BuildArgs, name: &str, mut matrix: Array2<f64>) -> anyhow::Result<Array2<f64>> {
    if args.symmetrise {
        matrix = (&matrix + &matrix.t()) / 2.0;
    }
    sound(matrix.view(), &[], false).map_err(|problem| {
        let fix = if problem.starts_with("not symmetric") { " (--symmetrise averages both)" } else { "" };
        let problem = problem.split(" (average").next().unwrap_or_default();
        anyhow::anyhow!("{name}: {problem}{fix}")
    })?;
    match args.scale {
        WeightArg::None => {}
        WeightArg::Log1p => {
            if let Some(value) = matrix.iter().find(|value| **value < 0.0) {
                bail!("{name}: {value} has no log(1 + weight) (--scale none or max)");
            }
            matrix.mapv_inplace(f64::ln_1p);
        }
        WeightArg::Max => {
            let most = matrix.iter().fold(0.0f64, |most, value| most.max(value.abs()));
            if most > 0.0 {
                matrix.mapv_inplace(|value| value / most);
            }
        }
    }
    Ok(matrix)
}

fn stack(matrices: Option<Vec<&Array2<f64>>>, nodes: usize) -> anyhow::Result<Option<Array3<f64>>> {
    let Some(matrices) = matrices else { return Ok(None) };
    let mut all = Array3::zeros((matrices.len(), nodes, nodes));
    for (mut into, matrix) in all.axis_iter_mut(Axis(0)).zip(&matrices) {
        if matrix.dim() != (nodes, nodes) {
            bail!("a network of {} regions where others have {nodes}", matrix.nrows());
        }
        into.assign(matrix);
    }
    Ok(Some(all))
}

/// Labels from a column of participants.tsv, where samples.tsv gave none.
fn label(
    args: &BuildArgs,
    column: &str,
    participants: &[String],
    labels: &mut [String],
    notes: &mut Vec<String>,
) -> anyhow::Result<()> {
    let known = Participants::read(&args.data.join("participants.tsv"))?.column(column, participants)?;
    for (row, value) in known.rows.iter().zip(&known.values) {
        if let Some(label) = labels.get_mut(*row).filter(|label| label.is_empty()) {
            label.clone_from(value);
        }
    }
    if known.missing + known.unlisted > 0 {
        notes.push(format!(
            "{} samples have no {column}, {} are of nobody in participants.tsv",
            known.missing, known.unlisted
        ));
    }
    Ok(())
}

/// One structural matrix a person, a copy for each of their samples.
fn structural(
    args: &BuildArgs,
    folder: &Path,
    participants: &[String],
    regions: &[String],
) -> anyhow::Result<Array3<f64>> {
    let people = People::read(&args.data)?;
    let mut of = BTreeMap::new();
    for path in find(folder, &TABLES, args.structural_match.as_deref())? {
        let who = participant(folder, &path, people.as_ref())?;
        if of.insert(who.clone(), path.clone()).is_some() {
            bail!("{}: a second structural matrix of {who} (--structural-match TEXT chooses)", path.display());
        }
    }
    let mut views: BTreeMap<&str, Array2<f64>> = BTreeMap::new();
    for person in participants {
        if views.contains_key(person.as_str()) {
            continue;
        }
        let Some(path) = of.get(person) else { bail!("--structural {}: no matrix of {person}", folder.display()) };
        let matrix = weights(args, &path.display().to_string(), read_matrix(path)?.values)?;
        if matrix.nrows() != regions.len() {
            bail!("{}: {} regions where the scans have {}", path.display(), matrix.nrows(), regions.len());
        }
        views.insert(person, matrix);
    }
    let all = participants.iter().map(|person| views.get(person.as_str())).collect::<Option<Vec<_>>>();
    stack(all, regions.len())?.context("no sample")
}

fn report(args: &BuildArgs, networks: &Networks, notes: &[String]) -> anyhow::Result<()> {
    let people = networks.participants.iter().collect::<BTreeSet<_>>().len();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    networks.labels.iter().for_each(|label| *counts.entry(label).or_insert(0) += 1);
    let shown = |(label, count): (&&str, &usize)| format!("{} {count}", if label.is_empty() { "n/a" } else { label });
    let labels = match counts.len() {
        // Scores are no classes.
        0 | 21.. => String::new(),
        1 if counts.contains_key("") => String::new(),
        _ => format!("; {}", counts.iter().map(shown).collect::<Vec<_>>().join(", ")),
    };
    let mut out = io::stdout();
    writeln!(
        out,
        "{}: {} networks of {} regions ({}), of {people} people{labels}",
        args.out.display(),
        networks.len(),
        networks.nodes(),
        networks.kind
    )?;
    notes.iter().try_for_each(|note| writeln!(out, "  {note}"))?;
    Ok(())
}
