//! How does a volume become regions? The mean of the voxels of each.

/// Which voxels each region is the mean of: compressed rows, as in a sparse matrix.
///
/// Made once; [`means`](Gather::means) then touches only voxels that lie in a region, in the order of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gather {
    /// Region `r` owns `voxels[starts[r]..starts[r + 1]]`.
    starts: Vec<usize>,
    voxels: Vec<u32>,
}

impl Gather {
    /// From (region, voxel) pairs in order of voxel, for `regions` regions. A pair whose region is out of range is left
    /// out; a region may stay without voxels.
    pub fn new(regions: usize, pairs: &[(u32, u32)]) -> Self {
        let mut starts = vec![0; regions + 1];
        let within = || pairs.iter().filter(|(region, _)| (*region as usize) < regions);
        for (region, _) in within() {
            starts[*region as usize + 1] += 1;
        }
        for region in 0..regions {
            starts[region + 1] += starts[region];
        }
        let mut next = starts.clone();
        let mut voxels = vec![0; starts[regions]];
        for (region, voxel) in within() {
            voxels[next[*region as usize]] = *voxel;
            next[*region as usize] += 1;
        }
        Self { starts, voxels }
    }

    /// How many regions there are.
    pub fn regions(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The voxels of a region, by place in the volume; none for a region that is not there.
    pub fn voxels_of(&self, region: usize) -> &[u32] {
        match (self.starts.get(region), self.starts.get(region + 1)) {
            (Some(from), Some(to)) => &self.voxels[*from..*to],
            _ => &[],
        }
    }

    /// Writes the mean of every region into `out`, one value a region, and says how many voxels were left out because
    /// they are not finite. A region without one finite voxel gets NaN.
    ///
    /// `value` gives the voxel at a place, so that a volume need not be converted first. Does not allocate.
    pub fn means(&self, value: impl Fn(usize) -> f64, out: &mut [f64]) -> usize {
        let mut left_out = 0;
        for (region, out) in out.iter_mut().enumerate() {
            let voxels = self.voxels_of(region);
            let (mut sum, mut count) = (0.0, 0usize);
            for voxel in voxels {
                let v = value(*voxel as usize);
                if v.is_finite() {
                    sum += v;
                    count += 1;
                }
            }
            left_out += voxels.len() - count;
            *out = if count > 0 { sum / count as f64 } else { f64::NAN };
        }
        left_out
    }
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
}
