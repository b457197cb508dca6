//! What do folds have in common? Products of the features with themselves and with the responses, made once.
//!
//! Rows that teach the same folds form a set. A fold's XᵀX and XᵀY are sums over the sets that teach it, so that k folds
//! cost little more than one: nothing is subtracted, and no digits are lost. Where there are fewer rows than features the
//! dual takes their place, XXᵀ of all rows, of which each fold takes a part.
//!
//! Feature spaces may each be scaled (banded ridge): XᵀX and XᵀY are scaled with them, and the dual has an XXᵀ a space.
//! With centring everything is told from the means of all rows first, so that a large mean costs no digits either.

use std::collections::BTreeMap;
use std::ops::Range;

use ndarray::ArrayView2;

use crate::linalg::{self, Real};
use crate::parallel;

/// Columns (or rows) of a Gram matrix that are computed together.
const PANEL: usize = 256;

/// Rows or columns that are taken up at once in double precision.
const DEPTH: usize = 512;

/// Bytes of Gram matrices that are held at once for what they save.
const GRAMS: usize = 1 << 30;

/// Bytes of the products of a block of voxels.
const BLOCK: usize = 64 << 20;

/// Rows that teach the same folds.
pub(super) struct Set<T> {
    rows: Vec<usize>,
    /// Σ of each feature.
    sums: Vec<f64>,
    /// Features, rows × F.
    features: Vec<T>,
    /// XᵀX, F × F, its lower half; empty where that is too much to hold, and made anew for each fold.
    gram: Vec<f64>,
}

/// What is known of the features, whatever the responses.
pub(super) struct Products<'a, T> {
    pub x: ArrayView2<'a, T>,
    pub centre: bool,
    /// What every feature is told from: its mean over all rows; zero without centring.
    shift: Vec<f64>,
    /// The columns of each feature space.
    spaces: Vec<Vec<Range<usize>>>,
    sets: Vec<Set<T>>,
    /// The rows that teach each fold.
    pub taught: Vec<&'a [usize]>,
    /// The sets that teach each fold.
    members: Vec<Vec<usize>>,
    /// XXᵀ of all rows for each space, n × n, its lower half; empty unless there are fewer rows than features.
    kernels: Vec<Vec<f64>>,
}

/// The responses of some voxels, and their products with the features.
pub(super) struct Block<'a, T> {
    y: ArrayView2<'a, T>,
    pub voxels: &'a [usize],
    /// What every voxel is told from.
    pub shift: Vec<f64>,
    /// Σ of each voxel, for each set.
    sums: Vec<Vec<f64>>,
    /// XᵀY, F × voxels, for each set.
    cross: Vec<Vec<T>>,
}

impl<'a, T: Real> Products<'a, T> {
    /// For folds that these rows teach; `spaces` are the columns of each feature space, none for all of them as one.
    pub fn new(x: ArrayView2<'a, T>, taught: &[&'a [usize]], spaces: &[Vec<Range<usize>>], centre: bool) -> Self {
        let f = x.ncols();
        let mut shift = vec![0.0; f];
        if centre {
            for row in x.rows() {
                shift.iter_mut().zip(row).for_each(|(mean, v)| *mean += v.wide());
            }
            shift.iter_mut().for_each(|mean| *mean /= x.nrows().max(1) as f64);
        }
        let whole = std::iter::once(0..f).collect();
        let spaces = if spaces.is_empty() { vec![whole] } else { spaces.to_vec() };
        let taught = taught.to_vec();
        let mut products = Self { x, centre, shift, spaces, sets: vec![], taught, members: vec![], kernels: vec![] };
        let taught = &products.taught;
        if f > taught.iter().map(|rows| rows.len()).max().unwrap_or(0) {
            products.kernels = products.spaces.iter().map(|space| products.kernel(space)).collect();
            return products;
        }
        let (rows, members) = sets(x.nrows(), taught);
        let panels = if rows.len() * 8 * f * f > GRAMS { 0 } else { f.div_ceil(PANEL) };
        let mut made = parallel::map(rows.len() * panels, |job| {
            products.gram_panel(rows.get(job / panels).map_or(&[], Vec::as_slice), job % panels * PANEL)
        })
        .into_iter();
        let set = |rows: Vec<usize>| {
            let features = products.shifted(&rows, 0..f).map(T::of).collect();
            let mut sums = vec![0.0; f];
            for row in &rows {
                sums.iter_mut().zip(x.row(*row)).zip(&products.shift).for_each(|((s, v), m)| *s += v.wide() - m);
            }
            let gram = if panels == 0 { vec![] } else { assemble(made.by_ref().take(panels), f) };
            Set { rows, sums, features, gram }
        };
        let sets = rows.into_iter().map(set).collect();
        Self { sets, members, ..products }
    }

    /// Whether folds are solved by their rows instead of by their features.
    pub fn is_dual(&self) -> bool {
        !self.kernels.is_empty()
    }

    /// Some features of some rows, told from their shift: rows × columns.
    fn shifted(&self, rows: &[usize], columns: Range<usize>) -> impl Iterator<Item = f64> {
        rows.iter().flat_map(move |row| {
            let values = self.x.row(*row).into_iter().zip(&self.shift);
            values.skip(columns.start).take(columns.len()).map(|(v, m)| v.wide() - m)
        })
    }

    /// Columns `from..` of XᵀX of these rows, from the diagonal down: (F − from) × PANEL, or fewer.
    fn gram_panel(&self, rows: &[usize], from: usize) -> Vec<f64> {
        let f = self.x.ncols();
        let (tall, wide) = (f - from, PANEL.min(f - from));
        let mut out = vec![0.0; tall * wide];
        for rows in rows.chunks(DEPTH) {
            let left: Vec<f64> = self.shifted(rows, from..f).collect();
            let right: Vec<f64> = self.shifted(rows, from..from + wide).collect();
            linalg::add_gram(&mut out, &left, &right, [tall, rows.len(), wide]);
        }
        out
    }

    /// XXᵀ of all rows over these columns, its lower half.
    fn kernel(&self, space: &[Range<usize>]) -> Vec<f64> {
        let n = self.x.nrows();
        let panels = parallel::map(n.div_ceil(PANEL), |panel| {
            let from = panel * PANEL;
            let (tall, wide) = (n - from, PANEL.min(n - from));
            let rows: Vec<usize> = (from..n).collect();
            let mut out = vec![0.0; tall * wide];
            let parts = |part: &Range<usize>| {
                let end = part.end;
                part.clone().step_by(DEPTH).map(move |start| start..(start + DEPTH).min(end))
            };
            for columns in space.iter().flat_map(parts) {
                let part: Vec<f64> = self.shifted(&rows, columns.clone()).collect();
                let turned = linalg::transpose(&part, tall, columns.len());
                let right =
                    linalg::transpose(part.get(..wide * columns.len()).unwrap_or_default(), wide, columns.len());
                linalg::add_gram(&mut out, &turned, &right, [tall, columns.len(), wide]);
            }
            out
        });
        assemble(panels.into_iter(), n)
    }

    /// Means of a fold's features, told from the shift.
    pub fn means(&self, fold: usize) -> Vec<f64> {
        let mut means = vec![0.0; self.x.ncols()];
        let Some(rows) = self.taught.get(fold).filter(|_| self.centre) else { return means };
        for row in *rows {
            means.iter_mut().zip(self.x.row(*row)).zip(&self.shift).for_each(|((s, v), m)| *s += v.wide() - m);
        }
        means.iter_mut().for_each(|mean| *mean /= rows.len().max(1) as f64);
        means
    }

    /// The same means as they are, not told from the shift.
    pub fn absolute(&self, means: &[f64]) -> Vec<f64> {
        self.shift.iter().zip(means).map(|(shift, mean)| shift + mean).collect()
    }

    /// √γ of the space that each feature belongs to.
    pub fn scale(&self, gammas: &[f64]) -> Vec<f64> {
        let mut scale = vec![0.0; self.x.ncols()];
        for (space, gamma) in self.spaces.iter().zip(gammas) {
            for part in space {
                scale.iter_mut().take(part.end).skip(part.start).for_each(|by| *by = gamma.sqrt());
            }
        }
        scale
    }

    /// Features of these rows, told from these means: rows × F.
    pub fn rows(&self, rows: &[usize], means: &[f64]) -> Vec<T> {
        rows.iter()
            .flat_map(|row| {
                let values = self.x.row(*row).into_iter().zip(self.shift.iter().zip(means));
                values.map(|(v, (shift, mean))| T::of(v.wide() - shift - mean))
            })
            .collect()
    }

    /// XcᵀXc of a fold, each feature scaled: F × F, its lower half.
    pub fn gram(&self, fold: usize, means: &[f64], scale: &[f64]) -> Vec<f64> {
        let f = self.x.ncols();
        let n = self.taught.get(fold).map_or(0, |rows| rows.len()) as f64;
        let mut gram = vec![0.0; f * f];
        for set in self.of(fold).filter_map(|set| self.sets.get(set)) {
            if set.gram.is_empty() {
                let panels = (0..f).step_by(PANEL).map(|from| self.gram_panel(&set.rows, from));
                gram.iter_mut().zip(assemble(panels, f)).for_each(|(sum, v)| *sum += v);
            }
            gram.iter_mut().zip(&set.gram).for_each(|(sum, v)| *sum += v);
        }
        for ((i, row), (mean, scaled)) in gram.chunks_exact_mut(f.max(1)).enumerate().zip(means.iter().zip(scale)) {
            for ((v, other), by) in row.iter_mut().zip(means).zip(scale).take(i + 1) {
                *v = (*v - n * mean * other) * scaled * by;
            }
        }
        gram
    }

    /// A fold's kernel between these rows and those that teach, as centred features would have it, each space scaled by γ:
    /// rows × teaching rows.
    pub fn kernel_of(&self, fold: usize, rows: &[usize], gammas: &[f64]) -> Vec<f64> {
        let taught = self.taught.get(fold).copied().unwrap_or_default();
        let n = self.x.nrows();
        let of = |a: usize, b: usize| -> f64 {
            let place = a.max(b) * n + a.min(b);
            self.kernels.iter().zip(gammas).filter_map(|(k, by)| k.get(place).map(|v| v * by)).sum()
        };
        let mut out: Vec<f64> =
            rows.iter().flat_map(|a| taught.iter().map(move |b| (*a, *b))).map(|(a, b)| of(a, b)).collect();
        if self.centre {
            let count = taught.len().max(1) as f64;
            let by_column: Vec<f64> =
                taught.iter().map(|b| taught.iter().map(|a| of(*a, *b)).sum::<f64>() / count).collect();
            let all = by_column.iter().sum::<f64>() / count;
            for row in out.chunks_exact_mut(taught.len().max(1)) {
                let mean = row.iter().sum::<f64>() / count;
                row.iter_mut().zip(&by_column).for_each(|(v, column)| *v += all - mean - column);
            }
        }
        out
    }

    fn of(&self, fold: usize) -> impl Iterator<Item = usize> {
        self.members.get(fold).into_iter().flatten().copied()
    }

    /// Takes up the responses (n × V) of these voxels.
    pub fn block<'b>(&self, y: ArrayView2<'b, T>, voxels: &'b [usize]) -> Block<'b, T> {
        let mut shift = vec![0.0; voxels.len()];
        if self.centre {
            for row in y.rows() {
                shift.iter_mut().zip(voxels).for_each(|(mean, v)| *mean += row.get(*v).map_or(0.0, |v| v.wide()));
            }
            shift.iter_mut().for_each(|mean| *mean /= y.nrows().max(1) as f64);
        }
        let mut block = Block { y, voxels, shift, sums: vec![], cross: vec![] };
        for set in &self.sets {
            let taken = block.rows(&set.rows, &[]);
            let mut sums = vec![0.0; voxels.len()];
            for row in taken.chunks_exact(voxels.len().max(1)) {
                sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += v.wide());
            }
            let mut cross = vec![T::default(); self.x.ncols() * voxels.len()];
            linalg::gemm(&mut cross, &set.features, true, &taken, [self.x.ncols(), set.rows.len(), voxels.len()]);
            block.sums.push(sums);
            block.cross.push(cross);
        }
        block
    }

    /// Means of a fold's responses, told from the block's shift.
    pub fn response_means(&self, fold: usize, block: &Block<'_, T>) -> Vec<f64> {
        let mut means = vec![0.0; block.voxels.len()];
        let Some(rows) = self.taught.get(fold).filter(|_| self.centre) else { return means };
        if self.is_dual() {
            for row in block.rows(rows, &[]).chunks_exact(block.voxels.len().max(1)) {
                means.iter_mut().zip(row).for_each(|(sum, v)| *sum += v.wide());
            }
        }
        for sums in self.of(fold).filter_map(|set| block.sums.get(set)) {
            means.iter_mut().zip(sums).for_each(|(mean, sum)| *mean += sum);
        }
        means.iter_mut().for_each(|mean| *mean /= rows.len().max(1) as f64);
        means
    }

    /// XcᵀYc of a fold: F × voxels.
    pub fn cross(&self, fold: usize, block: &Block<'_, T>, response_means: &[f64]) -> Vec<T> {
        let columns = block.voxels.len();
        let mut parts = self.of(fold).filter_map(|set| block.cross.get(set));
        let mut out = parts.next().cloned().unwrap_or_else(|| vec![T::default(); self.x.ncols() * columns]);
        for part in parts {
            out.iter_mut().zip(part).for_each(|(sum, v)| *sum += *v);
        }
        if self.centre {
            let mut sums = vec![0.0; self.x.ncols()];
            for set in self.of(fold).filter_map(|set| self.sets.get(set)) {
                sums.iter_mut().zip(&set.sums).for_each(|(sum, v)| *sum += v);
            }
            for (row, sum) in out.chunks_exact_mut(columns.max(1)).zip(sums) {
                row.iter_mut().zip(response_means).for_each(|(v, mean)| *v -= T::of(sum * mean));
            }
        }
        out
    }

    /// How many voxels are taken up together: what depends on the sizes alone, so that the bits do.
    pub fn width(&self) -> usize {
        let bytes = size_of::<T>() * self.x.ncols().max(1) * (self.sets.len() + 2);
        (BLOCK / bytes).clamp(64, 512)
    }
}

impl<T: Real> Block<'_, T> {
    /// The responses of these rows, told from the shift and these means (none: zero): rows × voxels.
    pub fn rows(&self, rows: &[usize], means: &[f64]) -> Vec<T> {
        let from: Vec<f64> = match means.is_empty() {
            true => self.shift.clone(),
            false => self.shift.iter().zip(means).map(|(shift, mean)| shift + mean).collect(),
        };
        let mut out = Vec::with_capacity(rows.len() * self.voxels.len());
        for row in rows {
            let row = self.y.row(*row);
            let values = self.voxels.iter().zip(&from);
            out.extend(values.map(|(v, from)| T::of(row.get(*v).map_or(0.0, |v| v.wide()) - from)));
        }
        out
    }
}

/// Rows that teach the same folds, and which of those sets teach each fold; every fold's rows by themselves where there
/// would be too many.
fn sets(n: usize, taught: &[&[usize]]) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
    let mut signatures = vec![vec![false; taught.len()]; n];
    for (fold, rows) in taught.iter().enumerate() {
        for row in *rows {
            if let Some(teaches) = signatures.get_mut(*row).and_then(|s| s.get_mut(fold)) {
                *teaches = true;
            }
        }
    }
    let mut known: BTreeMap<Vec<bool>, Vec<usize>> = BTreeMap::new();
    for (row, signature) in signatures.into_iter().enumerate().filter(|(_, s)| s.contains(&true)) {
        known.entry(signature).or_default().push(row);
    }
    if known.len() > 2 * taught.len() + 1 {
        return (taught.iter().map(|rows| rows.to_vec()).collect(), (0..taught.len()).map(|fold| vec![fold]).collect());
    }
    let members = |fold: usize| {
        let teaches = |(set, signature): (usize, &Vec<bool>)| signature.get(fold).filter(|t| **t).map(|_| set);
        known.keys().enumerate().filter_map(teaches).collect()
    };
    let members = (0..taught.len()).map(members).collect();
    (known.into_values().collect(), members)
}

/// The lower half of a matrix from its panels, each from the diagonal down.
fn assemble(panels: impl Iterator<Item = Vec<f64>>, size: usize) -> Vec<f64> {
    let mut whole = vec![0.0; size * size];
    for (panel, values) in panels.enumerate() {
        let from = panel * PANEL;
        let wide = PANEL.min(size - from);
        for (out, row) in whole.chunks_exact_mut(size).skip(from).zip(values.chunks_exact(wide)) {
            out.iter_mut().skip(from).zip(row).for_each(|(out, v)| *out = *v);
        }
    }
    whole
}
