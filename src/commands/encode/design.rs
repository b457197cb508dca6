//! What is to be fitted to what? The arrays and the choices of the command line, read and checked once.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::ops::Range;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ndarray::{Array1, Array2, ArrayView2, Axis, CowArray, Ix2};
use ndarray_npy::ReadableElement;

use super::scores::Quality;
use super::timing::Timing;
use crate::cli::{FoldArgs, ModelArgs, ScaleArg, Score};
use crate::datasets::Folder;
use crate::encoding::EncodingError;
use crate::encoding::banded::{self, Bands};
use crate::encoding::folds::{Fold, Folds, Part, Samples, Scheme, differ, divide, repeated};
use crate::encoding::scale::{Scale, Scaler};
use crate::encoding::solve::{self, Criterion, Lambda, Ridge, Weights};
use crate::linalg::Real;

/// Folds of the teaching rows in which λ is chosen, where they are not runs.
const INNER: usize = 5;

/// The same in the paper's released code.
const INNER_OF_PAPER: usize = 10;

/// Features and responses, ready to be fitted.
pub struct Design<T> {
    /// What was read; its responses hold zeros where a voxel is left out.
    pub data: Folder<T>,
    /// The features with their delays: n × (F · delays).
    pub x: Array2<T>,
    /// How that was made of the features.
    pub timing: Timing,
    /// In what units they count.
    scale: Scale,
    /// The columns of `x` that each feature space has, one stretch a delay.
    read: Vec<Vec<Range<usize>>>,
    /// The columns of `x` that are fitted; all where nothing was chosen.
    columns: Option<Vec<usize>>,
    /// Which of these columns each chosen space has.
    spaces: Vec<Vec<Range<usize>>>,
    /// How many mixes of spaces are tried where each is penalised by itself, and the seed that draws them.
    mixes: Option<(usize, u64)>,
    /// What each voxel is good for.
    pub quality: Vec<Quality>,
    /// How λ is found.
    pub ridge: Ridge,
    /// Feature spaces that are each penalised by themselves, where that was asked for.
    pub bands: Option<Bands>,
    /// What is known of each sample.
    pub samples: Samples,
    /// How samples are divided.
    pub scheme: Scheme,
    inner: usize,
}

/// What was chosen for each voxel.
pub struct Chosen {
    /// λ.
    pub lambdas: Vec<f64>,
    /// γ of each feature space; none unless spaces are penalised by themselves.
    pub gammas: Vec<Vec<f64>>,
}

impl Chosen {
    /// γ of each of these spaces, by its name; none unless spaces are penalised by themselves.
    pub fn by_space<'a>(&'a self, spaces: &'a [(String, usize)]) -> Vec<(&'a str, &'a [f64])> {
        spaces.iter().zip(&self.gammas).map(|((name, _), gamma)| (name.as_str(), gamma.as_slice())).collect()
    }
}

impl<T: Real + ReadableElement> Design<T> {
    /// Reads and checks what `args` name.
    ///
    /// # Errors
    /// What cannot be read, and features that are not finite.
    pub fn read(args: &ModelArgs, folds: &FoldArgs) -> anyhow::Result<Self> {
        let ridge = ridge(args)?;
        let scheme = scheme(folds)?;
        let mut data = Folder::<T>::read(&args.data, &args.features)?;
        let timing = Timing::asked(args)?;
        let mut x = timing.apply(data.features.view(), &data.runs);
        let missing = left_out(&data, &timing);
        let kept: Vec<usize> = (0..x.nrows()).filter(|row| missing.binary_search(row).is_err()).collect();
        let not_finite = |row: &&usize| x.row(**row).iter().any(|v| !v.wide().is_finite());
        if let Some(row) = kept.iter().find(not_finite).copied() {
            let column = x.row(row).iter().position(|v| !v.wide().is_finite()).unwrap_or(0);
            return Err(EncodingError::NotFinite { row, column }.into());
        }
        if !missing.is_empty() {
            let (count, samples) = (missing.len(), x.nrows());
            writeln!(io::stderr(), "{count} of {samples} samples are left out: their features are missing")?;
            x = x.select(Axis(0), &kept);
            data.leave_out(missing);
        }
        // A voxel with a hole in it cannot be learned, and must not poison its neighbours.
        let quality = Quality::of(data.responses.view());
        for (v, mut column) in data.responses.columns_mut().into_iter().enumerate() {
            if quality.get(v) == Some(&Quality::NotFinite) {
                column.fill(T::of(0.0));
            }
        }
        let sizes: Vec<usize> = data.spaces.iter().map(|(_, size)| *size).collect();
        let spaces = timing.spaces(&sizes);
        if args.banded.is_some() && args.lambda == "grid" {
            bail!("--banded: each voxel has a λ of its own, so give no --lambda grid");
        }
        if args.banded.is_some() && sizes.len() < 2 {
            bail!("--banded: there is one feature space only (give several, as features/NAME.npy)");
        }
        let mixes = args.banded.map(|count| (count.get(), folds.by.seed));
        let bands = bands(&spaces, mixes);
        let stimuli = if folds.by.keep_repeats { Vec::new() } else { data.stimuli.clone() };
        let (groups, parts) = (groups(&data, &folds.by.folds)?, parts(&data, folds)?);
        let samples = Samples { runs: data.runs.clone(), stimuli, groups, parts };
        let inner = if args.paper { INNER_OF_PAPER } else { INNER };
        let scale = match args.scale {
            ScaleArg::None => Scale::None,
            ScaleArg::Space => Scale::Space,
            ScaleArg::Column => Scale::Column,
        };
        Ok(Self {
            data,
            x,
            timing,
            scale,
            read: spaces.clone(),
            columns: None,
            spaces,
            mixes,
            quality,
            ridge,
            bands,
            samples,
            scheme,
            inner,
        })
    }

    /// The features of the spaces that are chosen, in the units that these rows teach: n × (F · delays).
    fn scaled(&self, rows: &[usize]) -> CowArray<'_, T, Ix2> {
        let x: CowArray<'_, T, Ix2> = match &self.columns {
            Some(columns) => self.x.select(Axis(1), columns).into(),
            None => self.x.view().into(),
        };
        match self.scale {
            Scale::None => x,
            _ => self.scaler(x.view(), rows).apply(x.view()).into(),
        }
    }

    fn scaler(&self, x: ArrayView2<'_, T>, rows: &[usize]) -> Scaler {
        let mut space_of = vec![0; x.ncols()];
        for (space, ranges) in self.spaces.iter().enumerate() {
            for range in ranges {
                space_of.get_mut(range.clone()).into_iter().for_each(|columns| columns.fill(space));
            }
        }
        Scaler::of(x, rows, &space_of, self.scale)
    }

    /// Goes on with these of the feature spaces it has read, by their places, side by side.
    pub fn only(&mut self, spaces: &[usize]) {
        let chosen: Vec<&Vec<Range<usize>>> = spaces.iter().filter_map(|space| self.read.get(*space)).collect();
        let copies = chosen.first().map_or(0, |copies| copies.len());
        let (mut columns, mut ranges) = (Vec::new(), vec![Vec::new(); chosen.len()]);
        for copy in 0..copies {
            for (space, ranges) in chosen.iter().zip(&mut ranges) {
                let begins = columns.len();
                columns.extend(space.get(copy).cloned().unwrap_or_default());
                ranges.push(begins..columns.len());
            }
        }
        (self.spaces, self.columns) = (ranges, Some(columns));
        self.bands = bands(&self.spaces, self.mixes);
    }

    /// How many columns the features have.
    pub fn width(&self) -> usize {
        self.columns.as_ref().map_or(self.x.ncols(), Vec::len)
    }

    /// The responses: n × V.
    pub fn y(&self) -> ArrayView2<'_, T> {
        self.data.responses.view()
    }

    /// The folds of all samples, and how many times a sample is predicted though its stimulus also taught.
    ///
    /// # Errors
    /// Samples that cannot be so divided.
    pub fn folds(&self) -> Result<(Folds, usize), EncodingError> {
        let folds = divide(self.x.nrows(), self.scheme, &self.samples)?;
        let repeats = repeated(&folds.folds, &self.data.stimuli);
        Ok((folds, repeats))
    }

    /// The rows that teach a model of all there is: every one, or those that were named.
    pub fn teachers(&self) -> Vec<usize> {
        let teaches = |row: &usize| self.samples.parts.get(*row).is_none_or(|part| *part == Part::Train);
        (0..self.x.nrows()).filter(teaches).collect()
    }

    /// Folds of these rows in which λ is chosen: by the same runs or groups where these rows have several, else some
    /// stretches; none where there is nothing to choose.
    ///
    /// # Errors
    /// Samples that cannot be so divided.
    pub fn inner_folds(&self, rows: &[usize]) -> Result<Vec<Fold>, EncodingError> {
        if matches!(self.ridge.lambda, Lambda::Fixed(_)) && self.bands.is_none() {
            return Ok(Vec::new());
        }
        let samples = self.samples.of(rows);
        let inner = match self.scheme {
            Scheme::Runs | Scheme::Once if differ(&samples.runs, rows.len()) => Scheme::Runs,
            Scheme::Groups if differ(&samples.groups, rows.len()) => Scheme::Groups,
            Scheme::Shuffled(_, seed) => Scheme::Shuffled(self.inner, seed),
            _ => Scheme::Consecutive(self.inner),
        };
        let global = |part: &[usize]| part.iter().filter_map(|row| rows.get(*row).copied()).collect();
        // Where runs or groups share all their stimuli, stretches of other stimuli do.
        let stretches = |_| divide(rows.len(), Scheme::Consecutive(self.inner), &samples);
        let folds = divide(rows.len(), inner, &samples).or_else(stretches)?.folds;
        Ok(folds.iter().map(|fold| Fold { train: global(&fold.train), test: global(&fold.test) }).collect())
    }

    /// λ of every voxel, and its mix of feature spaces, chosen in `folds` of all rows.
    ///
    /// # Errors
    /// Features that cannot be decomposed.
    pub fn choose(&self, folds: &[Fold]) -> Result<Chosen, EncodingError> {
        let (x, y) = (self.scaled(&Vec::from_iter(0..self.x.nrows())), self.y());
        let x = x.view();
        match &self.bands {
            Some(bands) => Ok(chosen(banded::choose(x, y, folds, &self.ridge, bands)?, bands)),
            None => Ok(Chosen { lambdas: solve::choose(x, y, folds, &self.ridge)?, gammas: Vec::new() }),
        }
    }

    /// The same in `folds` of these rows, and the weights that they teach with it, for features as they come, whatever units
    /// they were fitted in.
    ///
    /// # Errors
    /// Features that cannot be decomposed.
    pub fn choose_and_fit(&self, folds: &[Fold], rows: &[usize]) -> Result<(Chosen, Weights<T>), EncodingError> {
        let (x, y, ridge) = (self.scaled(rows), self.y(), &self.ridge);
        let (chosen, mut fitted) = match &self.bands {
            Some(bands) => {
                let choice = banded::choose(x.view(), y, folds, ridge, bands)?;
                let fitted = banded::fit(x.view(), y, rows, &choice, bands, ridge.centre)?;
                (chosen(choice, bands), fitted)
            }
            None => {
                let (lambdas, fitted) = solve::choose_and_fit(x.view(), y, folds, rows, ridge)?;
                (Chosen { lambdas, gammas: Vec::new() }, fitted)
            }
        };
        self.scaler(self.x.view(), rows).undo(&mut fitted.weights, &mut fitted.intercepts);
        Ok((chosen, fitted))
    }

    /// The same, and what `fold` predicts with it: its predicted rows × V.
    ///
    /// # Errors
    /// Features that cannot be decomposed.
    pub fn choose_and_predict(&self, folds: &[Fold], fold: &Fold) -> Result<(Chosen, Array2<T>), EncodingError> {
        let (x, y, ridge) = (self.scaled(&fold.train), self.y(), &self.ridge);
        let x = x.view();
        if let Some(bands) = &self.bands {
            let choice = banded::choose(x, y, folds, ridge, bands)?;
            let predicted = banded::predict(x, y, fold, &choice, bands, ridge.centre)?;
            return Ok((chosen(choice, bands), predicted));
        }
        let (lambdas, predicted) = solve::choose_and_predict(x, y, folds, fold, ridge)?;
        Ok((Chosen { lambdas, gammas: Vec::new() }, predicted))
    }
}

/// Bands of these spaces; none where there is but one, which a λ is enough for.
fn bands(spaces: &[Vec<Range<usize>>], mixes: Option<(usize, u64)>) -> Option<Bands> {
    let (count, seed) = mixes.filter(|_| spaces.len() > 1)?;
    Some(Bands { spaces: spaces.to_vec(), mixes: banded::mixes(spaces.len(), count, seed) })
}

fn chosen(choice: banded::Choice, bands: &Bands) -> Chosen {
    let share = |mix: &usize, space: usize| bands.mixes.get(*mix).and_then(|mix| mix.get(space)).copied();
    let of_space = |space| choice.mixes.iter().map(|mix| share(mix, space).unwrap_or(f64::NAN)).collect();
    Chosen { gammas: (0..bands.spaces.len()).map(of_space).collect(), lambdas: choice.lambdas }
}

/// The values of `by=COLUMN`; none where samples are not divided so.
fn groups<T>(data: &Folder<T>, folds: &str) -> anyhow::Result<Vec<String>> {
    match folds.split_once('=') {
        Some(("by", column)) => Ok(column_of(data, "--folds by", column)?.to_vec()),
        _ => Ok(Vec::new()),
    }
}

/// What every sample is for, by --train and --test; nothing where samples are not divided so.
fn parts<T>(data: &Folder<T>, args: &FoldArgs) -> anyhow::Result<Vec<Part>> {
    let mut parts = vec![Part::Neither; data.responses.nrows()];
    for (option, text, part) in [("--train", &args.train, Part::Train), ("--test", &args.test, Part::Test)] {
        let Some(text) = text else { continue };
        let (column, value) = text.split_once('=').with_context(|| {
            format!("{option} {text}: give a column of runs.tsv and a value, as condition=abstract")
        })?;
        let cells = column_of(data, option, column)?;
        if !cells.iter().any(|cell| cell == value) {
            let known: BTreeSet<&str> = cells.iter().map(String::as_str).collect();
            let known: Vec<&str> = known.into_iter().take(20).collect();
            bail!("{option} {text}: no sample has that (column \"{column}\" has: {})", known.join(", "));
        }
        for (slot, _) in parts.iter_mut().zip(cells).filter(|(_, cell)| *cell == value) {
            if *slot != Part::Neither {
                bail!("{option} {text}: these samples teach, and a sample cannot be both");
            }
            *slot = part;
        }
    }
    Ok(if args.train.is_some() { parts } else { Vec::new() })
}

fn column_of<'a, T>(data: &'a Folder<T>, option: &str, name: &str) -> anyhow::Result<&'a [String]> {
    let known = || data.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    match data.columns.iter().rfind(|(column, _)| column == name) {
        Some((_, cells)) => Ok(cells),
        None if data.columns.is_empty() => bail!("{option}={name}: there is no runs.tsv (a row a sample)"),
        None => bail!("{option}={name}: runs.tsv has no such column (there are: {})", known()),
    }
}

/// The arguments with what --paper, --train and --test stand for written out.
pub fn settled(model: &ModelArgs, folds: &FoldArgs) -> (ModelArgs, FoldArgs) {
    let (mut model, mut folds) = (model.clone(), folds.clone());
    if model.paper {
        model.grid = (-6..10).map(|power| 10f64.powi(power)).collect();
        (model.score, model.no_centre) = (Score::R2, true);
        (folds.by.folds, folds.by.keep_repeats) = (format!("k={INNER_OF_PAPER}"), true);
    }
    if let (Some(train), Some(test)) = (&folds.train, &folds.test) {
        folds.by.folds = format!("{train} to {test}");
    }
    (model, folds)
}

/// The grid of λ that is asked for, or the usual one.
pub fn grid(args: &ModelArgs) -> Vec<f64> {
    match args.grid.is_empty() {
        true => (0..20).map(|i| 10f64.powf(-1.0 + 9.0 * f64::from(i) / 19.0)).collect(),
        false => args.grid.clone(),
    }
}

fn ridge(args: &ModelArgs) -> anyhow::Result<Ridge> {
    let lambda = match args.lambda.as_str() {
        "grid" => Lambda::Shared(grid(args)),
        "auto" => Lambda::PerVoxel(grid(args)),
        text => Lambda::Fixed(
            text.parse().with_context(|| format!("--lambda {text}: give a positive number, `grid` or `auto`"))?,
        ),
    };
    lambda.check()?;
    let criterion = match args.score {
        Score::Loss => Criterion::SquaredError,
        Score::R2 => Criterion::R2,
    };
    Ok(Ridge { lambda, criterion, centre: !args.no_centre })
}

/// How samples are divided.
fn scheme(args: &FoldArgs) -> anyhow::Result<Scheme> {
    let wrong = || format!("--folds {}: give `runs`, `k=10`, `shuffle=10` or `by=COLUMN`", args.by.folds);
    match args.by.folds.split_once('=') {
        _ if args.train.is_some() => Ok(Scheme::Once),
        None if args.by.folds == "runs" => Ok(Scheme::Runs),
        Some(("by", _)) => Ok(Scheme::Groups),
        Some(("k", k)) => Ok(Scheme::Consecutive(k.parse().with_context(wrong)?)),
        Some(("shuffle", k)) => Ok(Scheme::Shuffled(k.parse().with_context(wrong)?, args.by.seed)),
        _ => bail!(wrong()),
    }
}

/// A bar for `steps` of `what`, on a terminal; nothing elsewhere.
pub(crate) fn progress(steps: usize, what: &str) -> ProgressBar {
    let template = format!("{{wide_bar:.cyan}} {what} {{pos}}/{{len}}  {{elapsed}} (left {{eta}})");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(steps as u64).with_style(style);
    if !io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

/// The rows in which a feature is missing, now or at any time they look back to.
fn left_out<T: Real>(data: &Folder<T>, timing: &Timing) -> Vec<usize> {
    let mark = |missing| T::of(f64::from(u8::from(missing)));
    let marks: Vec<T> = data.without_features().into_iter().map(mark).collect();
    let marks = timing.apply(Array1::from(marks).insert_axis(Axis(1)).view(), &data.runs);
    let marked = |row: &usize| marks.row(*row).iter().any(|mark| mark.wide() != 0.0);
    (0..marks.nrows()).filter(marked).collect()
}
