//! Which figures does a report have? Those of one feature space, or those that compare several.

use super::brain::pictures;
use super::charts::{bars, histograms};
use super::curves::{differences, layers};
use super::figure::Figure;
use super::grouped::{columns, stacked};
use super::metric::{MAE, NORMALISED, NORMALISED_R2, PEARSON, PER_SAMPLE, TWO_V_TWO};
use super::palette::series;
use super::{Brain, FeatureSpace, Level, Partitioned, RegionScores, Report};

/// What figures are called, whichever of them a report has.
pub const NAMES: [&str; 12] = [
    "regions",
    "normalised",
    "mae",
    "histogram",
    "brain",
    "two-v-two",
    "pearson",
    "pearson-per-sample",
    "layers",
    "layers-two-v-two",
    "differences",
    "partition",
];

/// Regions that a figure shows at the most; the table and scores.tsv have all.
pub(super) const MOST_REGIONS: usize = 40;

/// Feature spaces that a figure shows at the most.
pub(super) const MOST_SPACES: usize = 12;

/// Brains at the most: they are large.
const MOST_BRAINS: usize = 6;

impl Report {
    /// Every figure, each once, in the order of the page.
    pub fn figures(&self) -> Vec<Figure> {
        match self.spaces.as_slice() {
            [] => Vec::new(),
            [space] => of_one(space),
            _ => self.of_several(),
        }
    }

    /// One feature space a model: the best of its layers by Pearson per voxel of all regions together.
    pub(super) fn models(&self) -> Vec<&FeatureSpace> {
        let mut found: Vec<&FeatureSpace> = Vec::new();
        let r = |space: &FeatureSpace| space.overall.pearson_per_voxel.value;
        for space in &self.spaces {
            let model = |of: &FeatureSpace| of.layer.as_ref().map(|[model, _]| model.clone());
            let same = found.iter_mut().find(|known| space.layer.is_some() && model(known) == model(space));
            match same {
                Some(known) if r(space) > r(known) => *known = space,
                Some(_) => {}
                None => found.push(space),
            }
        }
        found
    }

    fn of_several<'a>(&'a self) -> Vec<Figure> {
        let mut models = self.models();
        models.truncate(MOST_SPACES);
        let regions: Vec<&str> =
            models.first().map_or(Vec::new(), |best| shown(best).iter().map(|of| of.region.as_str()).collect());
        // Of each model the same regions, in the same order.
        let picked = |space: &'_ &FeatureSpace| -> Vec<RegionScores> {
            let all = || [&space.overall].into_iter().chain(&space.regions);
            regions.iter().filter_map(|name| all().find(|of| of.region == *name).cloned()).collect()
        };
        let scores: Vec<(&str, Vec<RegionScores>)> =
            models.iter().map(|space| (space.name.as_str(), picked(space))).collect();
        let scores: Vec<(&str, Vec<&RegionScores>)> =
            scores.iter().map(|(name, of)| (*name, of.iter().collect())).collect();
        let mut all = vec![
            columns("two-v-two", "2V2 of every model and region".into(), TWO_V_TWO, &scores),
            columns("pearson", "Pearson's r per voxel of every model and region".into(), PEARSON, &scores),
            columns(
                "pearson-per-sample",
                "Pearson's r per sample of every model and region".into(),
                PER_SAMPLE,
                &scores,
            ),
        ];
        if models.iter().any(|space| space.overall.normalised.is_some()) {
            let what = "Pearson's r per voxel over the noise ceiling's root".to_owned();
            all.push(columns("normalised", what, NORMALISED, &scores));
        }
        all.push(columns("mae", "Mean absolute error of every model and region".into(), MAE, &scores));
        // Each model in the colour that its columns have.
        let place =
            |model: &str| models.iter().position(|space| space.layer.as_ref().is_some_and(|[of, _]| of == model));
        let coloured =
            |(model, layers): (&'a str, Vec<&'a FeatureSpace>)| (model, series(place(model).unwrap_or(0)), layers);
        let curves: Vec<_> = self.layered().into_iter().map(coloured).collect();
        if !curves.is_empty() {
            all.push(layers(
                "layers",
                "Pearson's r per voxel over layers, all regions together".into(),
                PEARSON,
                &curves,
            ));
            all.push(layers("layers-two-v-two", "2V2 over layers, all regions together".into(), TWO_V_TWO, &curves));
        }
        let ahead: Vec<_> = self.differences.iter().filter(|d| d.region == "all").take(MOST_REGIONS).collect();
        if let Some(first) = ahead.first() {
            all.push(differences(format!("Pearson's r per voxel: by how much {} is ahead", first.space), &ahead));
        }
        let coloured: Vec<(&FeatureSpace, &'static str)> =
            models.iter().enumerate().map(|(place, space)| (*space, series(place))).collect();
        all.push(histograms(&coloured, "How many voxels have which r".into()));
        all.extend(brains(&models));
        let parts = told(&self.partition);
        if !parts.is_empty() {
            all.push(stacked("R² that each feature space explains alone, and together".into(), &parts));
        }
        all
    }

    /// Models of which several layers were evaluated.
    pub(super) fn layered(&self) -> Vec<(&str, Vec<&FeatureSpace>)> {
        let mut found: Vec<(&str, Vec<&FeatureSpace>)> = Vec::new();
        for space in &self.spaces {
            let Some([model, _]) = &space.layer else { continue };
            match found.iter_mut().find(|(known, _)| known == model) {
                Some((_, layers)) => layers.push(space),
                None => found.push((model, vec![space])),
            }
        }
        found.truncate(MOST_SPACES);
        found
    }
}

/// The figures of one feature space.
pub(super) fn of_one(space: &FeatureSpace) -> Vec<Figure> {
    let regions = shown(space);
    let shared = [TWO_V_TWO, PEARSON, PER_SAMPLE];
    let mut all = vec![bars("regions", "2V2 and Pearson's r of every region".into(), &regions, &shared)];
    if space.overall.normalised.is_some() {
        let what = "Pearson's r and R² per voxel beside the noise ceiling".to_owned();
        all.push(bars("normalised", what, &regions, &[NORMALISED, NORMALISED_R2]));
    }
    all.push(bars("mae", "Mean absolute error of every region".into(), &regions, &[MAE]));
    all.push(histograms(&[(space, "voxel")], "How many voxels have which r".into()));
    all.extend(brains(&[space]));
    all
}

fn brains(spaces: &[&FeatureSpace]) -> Option<Figure> {
    let known: Vec<(&FeatureSpace, &Brain)> =
        spaces.iter().filter_map(|space| Some((*space, space.brain.as_ref()?))).take(MOST_BRAINS).collect();
    let what = "Where in the brain: the largest r along each line of sight".to_owned();
    (!known.is_empty()).then(|| pictures(&known, what))
}

/// All together; the regions, by hemisphere where they lie in both, and of too many the best; hemispheres and networks.
pub(super) fn shown(space: &FeatureSpace) -> Vec<&RegionScores> {
    let of = |level: Level| space.regions.iter().filter(move |of| of.level == level);
    // Both sides of a region where the region would be: LHPPA, RHPPA, LHLOC, …
    let sides = |region: &RegionScores| -> Vec<&RegionScores> {
        of(Level::RegionByHemisphere).filter(|side| is_side(&side.region, &region.region)).collect()
    };
    let mut regions: Vec<&RegionScores> = Vec::new();
    for region in of(Level::Region) {
        match sides(region) {
            none if none.is_empty() => regions.push(region),
            both => regions.extend(both),
        }
    }
    if regions.len() > MOST_REGIONS {
        regions.sort_by(|a, b| b.pearson_per_voxel.value.total_cmp(&a.pearson_per_voxel.value));
        regions.truncate(MOST_REGIONS);
    }
    let others = of(Level::Hemisphere).chain(of(Level::Network)).take(MOST_REGIONS);
    [&space.overall].into_iter().chain(regions).chain(others).collect()
}

/// Whether `LHPPA` is PPA in one hemisphere; `LHdV1` is not V1.
fn is_side(side: &str, region: &str) -> bool {
    side.strip_suffix(region).is_some_and(|before| matches!(before, "LH" | "RH") || before.ends_with(' '))
}

/// The same of parts of the variance.
fn told(all: &[Partitioned]) -> Vec<&Partitioned> {
    let sides = || all.iter().filter(|of| of.level == Level::RegionByHemisphere);
    let split = |of: &&Partitioned| of.level != Level::Region || !sides().any(|side| is_side(&side.region, &of.region));
    all.iter().filter(split).take(MOST_REGIONS).collect()
}
