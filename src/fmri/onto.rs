//! How do the regions of an atlas come onto the grid of the volumes? Once, before the first volume: by another order of the
//! same voxels, or by resampling the atlas.
//!
//! The nearest voxel of the atlas decides, or the eight around a place by how near they are (linear), each with the regions
//! that it has. So a label image becomes weights at its edges, and maps are interpolated as scipy's `affine_transform` of
//! order 1 does it. What lies beyond the outermost centres of the atlas is outside, as scipy and nilearn have it.

use serde::{Deserialize, Serialize};

use super::atlas::WEIGHTS_CAP;
use super::parcellate::Gather;
use super::{Atlas, FmriError, Grid, affine, reorient};

/// A place half-way between two voxels belongs to the upper one, whatever the rounding of our arithmetic, in voxels. What the
/// header's single precision makes of it decides otherwise, as it does in nilearn.
const TIE: f64 = 1e-9;

/// What a voxel takes from an atlas on another grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// What the nearest voxel of the atlas has.
    Nearest,
    /// What the eight voxels around it have, weighted by how near they are.
    Linear,
}

impl Atlas {
    /// The same atlas after `motion` (the first three rows of a matrix from the atlas's mm to those of the volumes, RAS).
    ///
    /// # Errors
    /// A matrix without inverse.
    pub fn moved(mut self, motion: &[[f64; 4]; 3]) -> Result<Self, FmriError> {
        if affine::inverse(motion).is_none() {
            let problem =
                format!("the matrix {motion:?} squeezes space flat (give one from the atlas's mm to the volume's)");
            return Err(FmriError::Elsewhere { problem });
        }
        self.grid.affine = affine::after(motion, &self.grid.affine);
        Ok(self)
    }

    /// The same regions of volumes that store the voxels of this grid in another order or direction of axes.
    ///
    /// # Errors
    /// In what the grids differ beyond that, in words.
    pub fn reordered(&self, grid: &Grid) -> Result<Self, String> {
        let places = reorient::places(&self.grid, grid)?;
        Ok(self.with(grid, self.gather().stored_at(&places)))
    }

    /// The same regions on another grid: exactly, where it holds the same voxels ([`reordered`](Atlas::reordered)), else by
    /// `interpolation`. A region that no voxel of the grid belongs to stays, without voxels, so that columns do not depend
    /// on where the head lies; its mean is NaN, and [`lost`](Atlas::lost) names it.
    ///
    /// # Errors
    /// No region lies on the grid; an affine without inverse; more weights than are kept.
    pub fn onto(&self, grid: &Grid, interpolation: Interpolation) -> Result<Self, FmriError> {
        if let Ok(reordered) = self.reordered(grid) {
            return Ok(reordered);
        }
        let elsewhere = |problem: String| FmriError::Elsewhere { problem };
        let back = self.grid.inverse().ok_or_else(|| {
            elsewhere(format!("the atlas's affine {:?} has no inverse (mend its header)", self.grid.affine))
        })?;
        let here = ByVoxel::of(self);
        let [nx, ny, nz] = self.grid.dims;
        let mut entries: Vec<(u32, u32, f32)> = Vec::new();
        let mut shares: Vec<(u32, f64)> = Vec::new();
        for voxel in 0..grid.voxels() {
            let place = affine::apply(&back, grid.millimetres(grid.index(voxel)));
            if !place.iter().zip([nx, ny, nz]).all(|(p, n)| (-TIE..=(n as f64 - 1.0) + TIE).contains(p)) {
                continue;
            }
            shares.clear();
            match interpolation {
                Interpolation::Nearest => {
                    let [x, y, z] = place.map(|p| (p + 0.5 + TIE).floor() as usize);
                    here.share((z * ny + y) * nx + x, 1.0, &mut shares);
                }
                Interpolation::Linear => {
                    let low = place.map(|p| (p + TIE).floor().max(0.0));
                    let beyond: [f64; 3] = std::array::from_fn(|i| (place[i] - low[i]).max(0.0));
                    for corner in 0..8 {
                        let up: [bool; 3] = std::array::from_fn(|i| corner >> i & 1 == 1);
                        let weight = |i: usize| if up[i] { beyond[i] } else { 1.0 - beyond[i] };
                        let [x, y, z]: [usize; 3] = std::array::from_fn(|i| low[i] as usize + usize::from(up[i]));
                        // A corner beyond the last voxel has no weight.
                        if x < nx && y < ny && z < nz {
                            here.share((z * ny + y) * nx + x, weight(0) * weight(1) * weight(2), &mut shares);
                        }
                    }
                }
            }
            entries.extend(shares.iter().map(|(region, weight)| (*region, voxel as u32, *weight as f32)));
            if entries.len() > WEIGHTS_CAP {
                return Err(FmriError::Weights(WEIGHTS_CAP));
            }
        }
        let gather = if here.weighted || interpolation == Interpolation::Linear {
            Gather::weighted(self.len(), &entries)
        } else {
            let pairs: Vec<_> = entries.into_iter().map(|(region, voxel, _)| (region, voxel)).collect();
            Gather::new(self.len(), &pairs)
        };
        if gather.entries() == 0 {
            let (first, here) = (self.grid.millimetres([0; 3]), grid.millimetres([0; 3]));
            return Err(elsewhere(format!(
                "no region of the atlas lies within the volume: their first voxels are at {first:.0?} and {here:.0?} mm \
                 (bring the atlas into the space of the volume first)"
            )));
        }
        Ok(self.with(grid, gather))
    }
}

/// The regions of each voxel, and how much it belongs to each: the transpose of [`Gather`].
struct ByVoxel {
    /// Voxel `v` has `regions[starts[v]..starts[v + 1]]`.
    starts: Vec<u32>,
    regions: Vec<(u32, f32)>,
    weighted: bool,
}

impl ByVoxel {
    fn of(atlas: &Atlas) -> Self {
        let (gather, voxels) = (atlas.gather(), atlas.grid.voxels());
        let mut starts = vec![0u32; voxels + 1];
        let all = || (0..atlas.len()).flat_map(|region| gather.voxels_of(region));
        all().for_each(|voxel| starts[*voxel as usize + 1] += 1);
        for voxel in 0..voxels {
            starts[voxel + 1] += starts[voxel];
        }
        let mut next = starts.clone();
        let mut regions = vec![(0, 0.0); gather.entries()];
        for region in 0..atlas.len() {
            let weights = gather.weights_of(region);
            for (i, voxel) in gather.voxels_of(region).iter().enumerate() {
                let next = &mut next[*voxel as usize];
                regions[*next as usize] = (region as u32, weights.get(i).copied().unwrap_or(1.0));
                *next += 1;
            }
        }
        let weighted = (0..atlas.len()).any(|region| !gather.weights_of(region).is_empty());
        Self { starts, regions, weighted }
    }

    /// Adds `share` of what `voxel` has to what was found so far.
    fn share(&self, voxel: usize, share: f64, found: &mut Vec<(u32, f64)>) {
        if share <= 0.0 {
            return;
        }
        let (from, to) = (self.starts[voxel] as usize, self.starts[voxel + 1] as usize);
        for (region, weight) in &self.regions[from..to] {
            let more = share * f64::from(*weight);
            match found.iter_mut().find(|(known, _)| known == region) {
                Some((_, sum)) => *sum += more,
                None => found.push((*region, more)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmri::Maps;

    fn grid() -> Grid {
        Grid { dims: [2, 2, 2], affine: [[3.0, 0.0, 0.0, -5.0], [0.0, 3.0, 0.0, 1.0], [0.0, 0.0, 4.0, 0.0]] }
    }

    fn atlas() -> Atlas {
        let labels = [0.0, 7.0, 3.0, 7.0, 0.0, 0.0, 3.0, 9.0];
        Atlas::from_labels(grid(), labels.into_iter()).expect("a label image")
    }

    #[test]
    fn an_atlas_on_another_grid_keeps_its_columns_and_names_what_it_lost() {
        // x and y swapped, x reversed, one slice only.
        let other =
            Grid { dims: [2, 2, 1], affine: [[0.0, -3.0, 0.0, -2.0], [3.0, 0.0, 0.0, 1.0], [0.0, 0.0, 4.0, 0.0]] };
        let there = atlas().onto(&other, Interpolation::Nearest).expect("on the grid");
        assert_eq!(
            (there.labels(), there.gather().voxels_of(0), there.gather().voxels_of(1)),
            (&[3, 7, 9][..], &[3][..], &[0, 1][..])
        );
        assert_eq!(there.lost().collect::<Vec<_>>(), [2]);
        let mut far = other;
        far.affine[0][3] = 500.0;
        let told = atlas().onto(&far, Interpolation::Nearest).map(|_| ()).map_err(|e| e.to_string());
        let expected = "no region of the atlas lies within the volume: their first voxels are at [-5, 1, 0] and \
                        [500, 1, 0] mm (bring the atlas into the space of the volume first)";
        assert_eq!(told, Err(expected.into()));
    }

    #[test]
    fn the_same_voxels_in_another_order_are_taken_as_they_are() {
        let flipped = Grid { affine: [[-3.0, 0.0, 0.0, -2.0], [0.0, 3.0, 0.0, 1.04], [0.0, 0.0, 4.0, 0.0]], ..grid() };
        let there = atlas().onto(&flipped, Interpolation::Linear).expect("on the grid");
        assert_eq!((there.gather().voxels_of(1), there.gather().weights_of(1)), (&[0, 2][..], &[][..]));
        assert_eq!(there.grid, flipped);
        assert!(atlas().reordered(&Grid { dims: [2, 2, 1], ..grid() }).is_err());
    }

    #[test]
    fn between_voxels_labels_and_maps_have_shares() {
        // Half-way between the two voxels along x, a quarter of the way along y.
        let between =
            Grid { dims: [1, 1, 1], affine: [[3.0, 0.0, 0.0, -3.5], [0.0, 3.0, 0.0, 1.75], [0.0, 0.0, 4.0, 0.0]] };
        let there = atlas().onto(&between, Interpolation::Linear).expect("on the grid");
        let weights: Vec<f32> = (0..3).flat_map(|r| there.gather().weights_of(r).to_vec()).collect();
        // Of label 3 voxel (0, 1), of label 7 voxels (1, 0) and (1, 1).
        assert_eq!(weights, [0.125, 0.5]);
        let mut maps = Maps::new(grid());
        maps.add([0.8, 0.4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0].into_iter()).expect("a map");
        let maps = maps.finish().expect("an atlas");
        let linear = maps.onto(&between, Interpolation::Linear).expect("on the grid");
        assert!((linear.gather().weights_of(0)[0] - 0.45).abs() < 1e-7);
        let nearest = maps.onto(&between, Interpolation::Nearest).expect("on the grid");
        assert_eq!(nearest.gather().weights_of(0), [0.4]);
    }

    #[test]
    fn an_atlas_moves_by_a_matrix_in_millimetres() {
        let motion = [[0.0, -1.0, 0.0, 10.0], [1.0, 0.0, 0.0, 20.0], [0.0, 0.0, 1.0, 30.0]];
        let there = atlas().moved(&motion).expect("a turn and a shift");
        assert_eq!(there.grid.millimetres([1, 0, 1]), [9.0, 18.0, 34.0]);
        let flat = atlas().moved(&[[0.0; 4]; 3]).map(|_| ()).map_err(|e| e.to_string()).expect_err("flat");
        assert!(flat.contains("squeezes space flat"), "{flat}");
    }
}
