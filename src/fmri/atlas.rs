//! Which voxel belongs where? A label image, maps of how much, or a mask, on its grid.

use super::parcellate::Gather;
use super::{FmriError, Grid};

/// The most labels an atlas may have; an image with more is no label image.
const LABELS_CAP: usize = 1 << 16;
/// The most voxels of a mask.
const MASK_CAP: usize = 200_000;
/// The most weights that maps may have, which take 8 bytes each.
pub(super) const WEIGHTS_CAP: usize = 1 << 24;

/// Regions: which voxels each is the mean of, and with what weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Atlas {
    /// Where its voxels lie.
    pub grid: Grid,
    labels: Vec<u32>,
    gather: Gather,
}

impl Atlas {
    /// The regions of a label image, in order of label. `values` are its voxels in the order of memory.
    ///
    /// # Errors
    /// A value that is not a whole number from 0 on, too many labels, or none.
    pub fn from_labels(grid: Grid, values: impl Iterator<Item = f64>) -> Result<Self, FmriError> {
        let mut pairs = Vec::new();
        for (voxel, value) in values.enumerate() {
            let label = value.round();
            if !((value - label).abs() <= 1e-3 && (0.0..=f64::from(u32::MAX)).contains(&label)) {
                return Err(FmriError::NotALabel { voxel, value });
            }
            if label > 0.0 {
                pairs.push((label as u32, voxel as u32));
            }
        }
        let mut labels: Vec<u32> = pairs.iter().map(|(label, _)| *label).collect();
        labels.sort_unstable();
        labels.dedup();
        if labels.is_empty() || labels.len() > LABELS_CAP {
            return Err(FmriError::LabelCount { found: labels.len(), most: LABELS_CAP });
        }
        for (label, _) in &mut pairs {
            *label = labels.partition_point(|l| l < label) as u32;
        }
        let gather = Gather::new(labels.len(), &pairs);
        Ok(Self { grid, labels, gather })
    }

    /// Every voxel that is not 0 becomes a region of its own, in the order of memory.
    ///
    /// # Errors
    /// An empty mask, or more than 200 000 voxels in it.
    pub fn from_mask(grid: Grid, values: impl Iterator<Item = f64>) -> Result<Self, FmriError> {
        let inside = values.enumerate().filter(|(_, v)| *v != 0.0 && v.is_finite());
        let pairs: Vec<(u32, u32)> = inside.enumerate().map(|(i, (voxel, _))| (i as u32, voxel as u32)).collect();
        if pairs.is_empty() || pairs.len() > MASK_CAP {
            return Err(FmriError::LabelCount { found: pairs.len(), most: MASK_CAP });
        }
        Ok(Self { grid, labels: (1..=pairs.len() as u32).collect(), gather: Gather::new(pairs.len(), &pairs) })
    }

    /// The same regions of other voxels.
    pub(super) fn with(&self, grid: &Grid, gather: Gather) -> Self {
        Self { grid: grid.clone(), labels: self.labels.clone(), gather }
    }

    /// The regions without a voxel, by place.
    pub fn lost(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(|region| self.gather.voxels_of(*region).is_empty())
    }

    /// The label of each region, ascending; of maps their numbers, from 1.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// How many regions there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Never true: an atlas without regions is not made.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Which voxels each region is the mean of.
    pub fn gather(&self) -> &Gather {
        &self.gather
    }

    /// The indices of a region's first voxel.
    pub fn first_voxel(&self, region: usize) -> Option<[usize; 3]> {
        Some(self.grid.index(*self.gather.voxels_of(region).first()? as usize))
    }
}

/// Maps of how much each voxel belongs to each region: a probabilistic atlas, taken in one map after another.
///
/// Weights are 0 or more, and need not add up to 1; a voxel may belong to several regions. A voxel that is NaN belongs to
/// none. Only weights above 0 are kept, all of them.
#[derive(Clone, Debug)]
pub struct Maps {
    grid: Grid,
    count: u32,
    entries: Vec<(u32, u32, f32)>,
}

impl Maps {
    /// None yet, on this grid.
    pub fn new(grid: Grid) -> Self {
        Self { grid, count: 0, entries: Vec::new() }
    }

    /// The next region's map, its voxels in the order of memory.
    ///
    /// # Errors
    /// A weight below 0 or infinite; too many maps, or weights.
    pub fn add(&mut self, values: impl Iterator<Item = f64>) -> Result<(), FmriError> {
        let region = self.count;
        self.count += 1;
        for (voxel, value) in values.enumerate().filter(|(_, value)| !value.is_nan()) {
            if !(0.0..=f64::from(f32::MAX)).contains(&value) {
                return Err(FmriError::NotAWeight { map: self.count, voxel, value });
            }
            if value as f32 > 0.0 {
                self.entries.push((region, voxel as u32, value as f32));
            }
        }
        if self.count as usize > LABELS_CAP {
            return Err(FmriError::LabelCount { found: self.count as usize, most: LABELS_CAP });
        }
        if self.entries.len() > WEIGHTS_CAP { Err(FmriError::Weights(WEIGHTS_CAP)) } else { Ok(()) }
    }

    /// The atlas of all of them; a map without a weight keeps its place.
    ///
    /// # Errors
    /// No map with a weight above 0.
    pub fn finish(self) -> Result<Atlas, FmriError> {
        if self.entries.is_empty() {
            return Err(FmriError::LabelCount { found: 0, most: LABELS_CAP });
        }
        let gather = Gather::weighted(self.count as usize, &self.entries);
        Ok(Atlas { grid: self.grid, labels: (1..=self.count).collect(), gather })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        Grid { dims: [2, 2, 2], affine: [[3.0, 0.0, 0.0, -5.0], [0.0, 3.0, 0.0, 1.0], [0.0, 0.0, 4.0, 0.0]] }
    }

    #[test]
    fn labels_become_regions_in_order_and_a_mask_one_region_a_voxel() {
        let atlas = Atlas::from_labels(grid(), [0.0, 7.0, 3.0, 7.0, 0.0, 0.0, 3.0, 7.0].into_iter());
        let atlas = atlas.expect("a label image");
        assert_eq!((atlas.labels(), atlas.gather().voxels_of(1)), (&[3, 7][..], &[1, 3, 7][..]));
        let mask = Atlas::from_mask(grid(), [0.0, 0.0, 0.0, 1.0, 0.0, f64::NAN, 0.5, 0.0].into_iter());
        let mask = mask.expect("a mask");
        assert_eq!((mask.len(), mask.first_voxel(0), mask.first_voxel(1)), (2, Some([1, 1, 0]), Some([0, 1, 1])));
    }

    #[test]
    fn an_image_without_labels_is_refused_by_voxel() {
        let wrong = Atlas::from_labels(grid(), [0.0, 1.0, 0.4].into_iter()).map_err(|e| e.to_string());
        assert_eq!(wrong, Err("voxel 2 is 0.4, which is no label (labels are whole numbers from 0 on)".into()));
        let empty = Atlas::from_labels(grid(), std::iter::repeat_n(0.0, 8)).map_err(|e| e.to_string());
        assert_eq!(empty, Err("the image marks 0 regions (1 to 65536 are read)".into()));
        assert!(Atlas::from_labels(grid(), [f64::NAN].into_iter()).is_err());
    }

    #[test]
    fn maps_become_weights_and_what_is_no_weight_is_named() {
        let mut maps = Maps::new(grid());
        maps.add([0.0, 0.5, f64::NAN, 0.0, 0.25, 0.0, 0.0, 0.0].into_iter()).expect("a map");
        maps.add([0.0; 8].into_iter()).expect("an empty map");
        let told = maps.clone().add([0.0, -0.5].into_iter()).map_err(|e| e.to_string());
        let expected = "voxel 1 of map 3 is -0.5, which is no weight (maps say how much a voxel belongs to a region: 0 or \
                        more)";
        assert_eq!(told, Err(expected.into()));
        let atlas = maps.finish().expect("an atlas");
        assert_eq!((atlas.labels(), atlas.gather().voxels_of(0)), (&[1, 2][..], &[1, 4][..]));
        assert_eq!((atlas.gather().weights_of(0), atlas.lost().collect::<Vec<_>>()), (&[0.5, 0.25][..], vec![1]));
        assert!(Maps::new(grid()).finish().is_err());
    }
}
