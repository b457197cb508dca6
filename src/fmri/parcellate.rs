//! How does a volume become regions? The mean of the voxels of each, or their weighted mean.

/// Which voxels each region is the mean of, and with what weights: compressed rows, as in a sparse matrix.
///
/// Made once; [`means`](Gather::means) then touches only voxels that lie in a region.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gather {
    /// Region `r` owns `voxels[starts[r]..starts[r + 1]]`.
    starts: Vec<usize>,
    voxels: Vec<u32>,
    /// One a voxel, above 0; none where all weigh the same.
    weights: Vec<f32>,
}

impl Gather {
    /// From (region, voxel) pairs in order of voxel, for `regions` regions. A pair whose region is out of range is left
    /// out; a region may stay without voxels.
    pub fn new(regions: usize, pairs: &[(u32, u32)]) -> Self {
        let (starts, voxels) = rows(regions, pairs.iter().copied());
        Self { starts, voxels, weights: Vec::new() }
    }

    /// The same with a weight for each: (region, voxel, weight). What does not weigh more than 0 is left out.
    pub fn weighted(regions: usize, entries: &[(u32, u32, f32)]) -> Self {
        let within = || entries.iter().filter(|(_, _, weight)| *weight > 0.0);
        let (starts, voxels) = rows(regions, within().map(|(region, voxel, _)| (*region, *voxel)));
        let (_, weights) = rows(regions, within().map(|(region, _, weight)| (*region, *weight)));
        Self { starts, voxels, weights }
    }

    /// How many regions there are.
    pub fn regions(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// How many voxels are read, those of two regions twice.
    pub fn entries(&self) -> usize {
        self.voxels.len()
    }

    /// The voxels of a region, by place in the volume; none for a region that is not there.
    pub fn voxels_of(&self, region: usize) -> &[u32] {
        self.row(region, &self.voxels)
    }

    /// The weights of a region's voxels; none where all weigh the same.
    pub fn weights_of(&self, region: usize) -> &[f32] {
        self.row(region, &self.weights)
    }

    fn row<'a, T>(&self, region: usize, of: &'a [T]) -> &'a [T] {
        match (self.starts.get(region), self.starts.get(region + 1)) {
            (Some(from), Some(to)) => of.get(*from..*to).unwrap_or_default(),
            _ => &[],
        }
    }

    /// The same regions of a volume that stores voxel `v` at `places[v]`.
    pub(super) fn stored_at(&self, places: &[u32]) -> Self {
        let voxels = self.voxels.iter().filter_map(|voxel| places.get(*voxel as usize)).copied().collect();
        Self { voxels, ..self.clone() }
    }

    /// Writes the mean of every region into `out`, one value a region, weighted where there are weights, and says how
    /// many voxels were left out because they are not finite. A region without one finite voxel gets NaN.
    ///
    /// `value` gives the voxel at a place, so that a volume need not be converted first. Does not allocate.
    pub fn means(&self, value: impl Fn(usize) -> f64, out: &mut [f64]) -> usize {
        let mut left_out = 0;
        for (region, out) in out.iter_mut().enumerate() {
            let (voxels, weights) = (self.voxels_of(region), self.weights_of(region));
            let (mut sum, mut total, mut count) = (0.0, 0.0, 0usize);
            let mut add = |value: f64, weight: f64| {
                if value.is_finite() {
                    sum += weight * value;
                    total += weight;
                    count += 1;
                }
            };
            if weights.is_empty() {
                voxels.iter().for_each(|voxel| add(value(*voxel as usize), 1.0));
            } else {
                voxels.iter().zip(weights).for_each(|(voxel, w)| add(value(*voxel as usize), f64::from(*w)));
            }
            left_out += voxels.len() - count;
            *out = if count > 0 { sum / total } else { f64::NAN };
        }
        left_out
    }
}

/// What belongs to each region, from (region, thing) pairs: compressed rows, each in the order of the pairs.
fn rows<T: Copy + Default>(regions: usize, pairs: impl Iterator<Item = (u32, T)> + Clone) -> (Vec<usize>, Vec<T>) {
    let within = || pairs.clone().filter(|(region, _)| (*region as usize) < regions);
    let mut starts = vec![0; regions + 1];
    for (region, _) in within() {
        starts[region as usize + 1] += 1;
    }
    for region in 0..regions {
        starts[region + 1] += starts[region];
    }
    let mut next = starts.clone();
    let mut things = vec![T::default(); starts[regions]];
    for (region, thing) in within() {
        things[next[region as usize]] = thing;
        next[region as usize] += 1;
    }
    (starts, things)
}

/// The mean of every region of a volume in memory: [`Gather::means`] over a slice. A voxel outside it counts as missing.
pub fn parcellate(volume: &[f64], gather: &Gather, out: &mut [f64]) -> usize {
    gather.means(|voxel| volume.get(voxel).copied().unwrap_or(f64::NAN), out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_the_mean_of_its_finite_voxels() {
        let gather = Gather::new(3, &[(1, 0), (0, 1), (1, 2), (1, 4), (2, 5), (9, 6)]);
        let mut out = [0.0; 3];
        let left_out = parcellate(&[2.0, 7.0, 4.0, 99.0, f64::NAN, f64::INFINITY, 99.0], &gather, &mut out);
        assert_eq!((&out[..2], out[2].is_nan(), left_out), (&[7.0, 3.0][..], true, 2));
        assert_eq!((gather.regions(), gather.voxels_of(1), gather.voxels_of(3)), (3, &[0, 2, 4][..], &[][..]));
    }

    #[test]
    fn weights_count_and_those_of_missing_voxels_do_not() {
        let entries = [(1, 0, 3.0), (0, 1, 0.0), (1, 1, 1.0), (0, 2, 0.5), (1, 2, 0.25)];
        let gather = Gather::weighted(3, &entries);
        assert_eq!((gather.entries(), gather.voxels_of(1), gather.weights_of(0)), (4, &[0, 1, 2][..], &[0.5][..]));
        let mut out = [0.0; 3];
        let left_out = parcellate(&[2.0, 6.0, f64::NAN], &gather, &mut out);
        assert_eq!((out[0].is_nan(), out[1], out[2].is_nan(), left_out), (true, 3.0, true, 2));
    }
}
