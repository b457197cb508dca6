//! What of several results? Feature spaces of the same responses side by side; of other responses, means over subjects.

use super::{Difference, FeatureSpace, Histogram, Level, Normalised, Partitioned, RegionScores, Report, Score};
use crate::encoding::statistics::Interval;

impl Report {
    /// One report of several, each with a name.
    ///
    /// Results of the same responses (by their SHA-256) are one subject's, and their feature spaces stand side by side.
    /// Of several subjects every score is the mean over them, its interval one standard deviation to either side, and
    /// each subject's own score is kept; the mean is over those subjects that have the feature space and the region.
    pub fn together(reports: Vec<(String, Report)>, command: String) -> Report {
        let mut subjects: Vec<(String, String, Report)> = Vec::new();
        for (name, report) in reports {
            let responses = report.provenance.inputs.iter().find(|input| input.name == "responses.npy");
            let key = responses.map_or_else(|| name.clone(), |input| input.sha256.clone());
            match subjects.iter_mut().find(|(_, known, _)| *known == key) {
                Some((_, _, known)) => known.add(&name, report),
                None => subjects.push((name, key, report)),
            }
        }
        let mut all: Vec<(String, Report)> = subjects.into_iter().map(|(name, _, report)| (name, report)).collect();
        let mut report = match all.as_mut_slice() {
            [] => Report::default(),
            [(_, only)] => std::mem::take(only),
            several => averaged(several),
        };
        report.provenance.command = match report.provenance.command.is_empty() || report.provenance.command == command {
            true => command,
            false => format!("{}\n{command}", report.provenance.command),
        };
        report
    }

    /// Another result of the same responses: its feature spaces beside these.
    fn add(&mut self, name: &str, other: Report) {
        for mut space in other.spaces {
            if self.spaces.iter().any(|known| known.name == space.name) {
                space.name = format!("{} ({name})", space.name);
            }
            self.spaces.push(space);
        }
        for note in other.notes.into_iter().filter(|note| !self.notes.contains(note)).collect::<Vec<_>>() {
            self.notes.push(note);
        }
        for input in other.provenance.inputs {
            if !self.provenance.inputs.contains(&input) {
                self.provenance.inputs.push(input);
            }
        }
        // Draws are not kept, so models of different results cannot be paired.
        self.differences.clear();
        self.partition.extend(other.partition);
        self.provenance.command = format!("{}\n{}", self.provenance.command, other.provenance.command);
        self.title = format!("{} feature spaces", self.spaces.len());
    }
}

fn averaged(subjects: &[(String, Report)]) -> Report {
    let mut names: Vec<&FeatureSpace> = Vec::new();
    for space in subjects.iter().flat_map(|(_, report)| &report.spaces) {
        if !names.iter().any(|known| known.name == space.name) {
            names.push(space);
        }
    }
    let of_space = |first: &&FeatureSpace| {
        let all: Vec<&FeatureSpace> = subjects
            .iter()
            .filter_map(|(_, report)| report.spaces.iter().find(|space| space.name == first.name))
            .collect();
        let mut regions: Vec<(Level, &str)> = Vec::new();
        for region in all.iter().flat_map(|space| &space.regions) {
            if !regions.contains(&(region.level, region.region.as_str())) {
                regions.push((region.level, &region.region));
            }
        }
        // Levels in their order, whichever subject has a region first.
        regions.sort_by_key(|(level, _)| *level);
        let of_region = |(level, name): &(Level, &str)| {
            let has = |of: &&RegionScores| of.level == *level && of.region == *name;
            mean_region(&all.iter().filter_map(|space| space.regions.iter().find(has)).collect::<Vec<_>>())
        };
        Some(FeatureSpace {
            name: first.name.clone(),
            layer: first.layer.clone(),
            features: first.features,
            overall: mean_region(&all.iter().map(|space| &space.overall).collect::<Vec<_>>())?,
            regions: regions.iter().filter_map(of_region).collect(),
            // Every brain has its own places.
            brain: None,
        })
    };
    let spaces: Vec<FeatureSpace> = names.iter().filter_map(of_space).collect();
    let mut report = Report {
        title: format!("{} feature spaces, {} subjects", spaces.len(), subjects.len()),
        intervals: "one standard deviation over subjects".into(),
        differences: differences(&spaces),
        partition: partition(subjects),
        subjects: subjects.iter().map(|(name, _)| name.clone()).collect(),
        spaces,
        ..Report::default()
    };
    let mut commands: Vec<&str> = Vec::new();
    for (name, of) in subjects {
        report.notes.extend(of.notes.iter().map(|note| format!("{name}: {note}")));
        report.provenance.version.clone_from(&of.provenance.version);
        report.provenance.seed = of.provenance.seed;
        report.provenance.settings.clone_from(&of.provenance.settings);
        for input in &of.provenance.inputs {
            let name = format!("{name}/{}", input.name);
            report.provenance.inputs.push(super::Input { name, sha256: input.sha256.clone() });
        }
        if !commands.contains(&of.provenance.command.as_str()) {
            commands.push(&of.provenance.command);
        }
    }
    report.provenance.command = commands.join("\n");
    report
}

/// The mean over subjects, and one standard deviation (of a sample) to either side.
fn mean_score(scores: &[&Score]) -> Score {
    let n = scores.len().max(1) as f64;
    let each: Vec<f64> = scores.iter().map(|score| score.value).collect();
    let value = each.iter().sum::<f64>() / n;
    let spread = (each.iter().map(|v| (v - value).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let baselines: Vec<f64> = scores.iter().filter_map(|score| score.baseline).collect();
    Score {
        value,
        interval: spread.is_finite().then_some(Interval { low: value - spread, high: value + spread }),
        baseline: (baselines.len() == scores.len()).then(|| baselines.iter().sum::<f64>() / n),
        each,
    }
}

fn mean_region(all: &[&RegionScores]) -> Option<RegionScores> {
    let first = all.first()?;
    let mean = |of: fn(&RegionScores) -> &Score| mean_score(&all.iter().map(|region| of(region)).collect::<Vec<_>>());
    let beside: Vec<&Normalised> = all.iter().filter_map(|region| region.normalised.as_ref()).collect();
    let normalised = (!beside.is_empty()).then(|| Normalised {
        pearson_per_voxel: mean_score(&beside.iter().map(|of| &of.pearson_per_voxel).collect::<Vec<_>>()),
        r2_per_voxel: mean_score(&beside.iter().map(|of| &of.r2_per_voxel).collect::<Vec<_>>()),
        left_out: beside.iter().map(|of| of.left_out).sum(),
    });
    let ceilings: Vec<f64> = all.iter().filter_map(|region| region.noise_ceiling).collect();
    let mut r_histogram = Histogram::of_correlations(&[]);
    for of in all {
        r_histogram.counts.iter_mut().zip(&of.r_histogram.counts).for_each(|(sum, count)| *sum += count);
    }
    Some(RegionScores {
        region: first.region.clone(),
        level: first.level,
        voxels: all.iter().map(|region| region.voxels).sum(),
        samples: all.iter().map(|region| region.samples).sum(),
        undefined: all.iter().map(|region| region.undefined).sum(),
        two_v_two: mean(|of| &of.two_v_two),
        pearson_per_voxel: mean(|of| &of.pearson_per_voxel),
        pearson_per_sample: mean(|of| &of.pearson_per_sample),
        mae: mean(|of| &of.mae),
        r2_per_voxel: mean(|of| &of.r2_per_voxel),
        normalised,
        significant: all.iter().map(|region| region.significant).sum(),
        noise_ceiling: (!ceilings.is_empty()).then(|| ceilings.iter().sum::<f64>() / ceilings.len() as f64),
        r_histogram,
    })
}

/// Of the best space and each other one, over the subjects that have both.
fn differences(spaces: &[FeatureSpace]) -> Vec<Difference> {
    let r = |space: &&FeatureSpace| space.overall.pearson_per_voxel.value;
    let Some(best) = spaces.iter().max_by(|a, b| r(a).total_cmp(&r(b))) else { return Vec::new() };
    let less = |a: &Score, b: &Score| {
        let each: Vec<Score> = a.each.iter().zip(&b.each).map(|(a, b)| Score::of(a - b)).collect();
        mean_score(&each.iter().collect::<Vec<_>>())
    };
    let paired =
        |space: &&FeatureSpace| space.name != best.name && space.overall.mae.each.len() == best.overall.mae.each.len();
    spaces
        .iter()
        .filter(paired)
        .map(|other| Difference {
            region: "all".into(),
            space: best.name.clone(),
            than: other.name.clone(),
            pearson_per_voxel: less(&best.overall.pearson_per_voxel, &other.overall.pearson_per_voxel),
            two_v_two: less(&best.overall.two_v_two, &other.overall.two_v_two),
            chance: None,
        })
        .collect()
}

/// Parts that every subject's regions have, averaged.
fn partition(subjects: &[(String, Report)]) -> Vec<Partitioned> {
    let Some((_, first)) = subjects.first() else { return Vec::new() };
    let of = |region: &Partitioned| {
        let same: Vec<&Partitioned> = subjects
            .iter()
            .filter_map(|(_, report)| {
                report.partition.iter().find(|of| of.region == region.region && of.level == region.level)
            })
            .collect();
        let mean = |(place, (name, _)): (usize, &(String, f64))| {
            let values: Vec<f64> = same.iter().filter_map(|of| of.parts.get(place).map(|(_, value)| *value)).collect();
            (name.clone(), values.iter().sum::<f64>() / values.len().max(1) as f64)
        };
        let parts = region.parts.iter().enumerate().map(mean).collect();
        Partitioned { region: region.region.clone(), level: region.level, parts }
    };
    first.partition.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::report::{Input, Provenance};

    fn report(space: &str, responses: &str, r: f64, regions: &[&str]) -> Report {
        let region = |name: &str, level| RegionScores {
            region: name.into(),
            level,
            voxels: 10,
            samples: 100,
            undefined: 1,
            two_v_two: Score::of(0.5 + r),
            pearson_per_voxel: Score::of(r),
            pearson_per_sample: Score::of(r),
            mae: Score::of(1.0),
            r2_per_voxel: Score::of(r * r),
            normalised: None,
            significant: None,
            noise_ceiling: None,
            r_histogram: Histogram::of_correlations(&[r]),
        };
        Report {
            provenance: Provenance {
                command: format!("evaluate {space}"),
                inputs: vec![Input { name: "responses.npy".into(), sha256: responses.into() }],
                ..Provenance::default()
            },
            spaces: vec![FeatureSpace {
                name: space.into(),
                layer: None,
                features: 3,
                overall: region("all", Level::All),
                regions: regions.iter().map(|name| region(name, Level::Region)).collect(),
                brain: None,
            }],
            ..Report::default()
        }
    }

    #[test]
    fn the_same_responses_are_one_subject_and_others_are_averaged() {
        let named = |name: &str, report| (name.to_owned(), report);
        let side_by_side = Report::together(
            vec![named("a", report("clip", "one", 0.2, &[])), named("b", report("clip", "one", 0.1, &[]))],
            "report a b".into(),
        );
        let names: Vec<&str> = side_by_side.spaces.iter().map(|space| space.name.as_str()).collect();
        assert_eq!((names, side_by_side.subjects.len()), (vec!["clip", "clip (b)"], 0));
        assert_eq!(side_by_side.provenance.command, "evaluate clip\nevaluate clip\nreport a b");

        let averaged = Report::together(
            vec![
                named("s1", report("clip", "one", 0.2, &["PPA", "LOC"])),
                named("s1 too", report("vit", "one", 0.1, &["PPA", "LOC"])),
                named("s2", report("clip", "two", 0.4, &["PPA"])),
                named("s2 too", report("vit", "two", 0.1, &["PPA"])),
            ],
            "report".into(),
        );
        assert_eq!(averaged.subjects, ["s1", "s2"]);
        let clip = &averaged.spaces[0];
        let r = &clip.overall.pearson_per_voxel;
        let interval = r.interval.unwrap();
        assert!((r.value - 0.3).abs() < 1e-12 && (interval.high - 0.3 - 0.02f64.sqrt()).abs() < 1e-12);
        assert_eq!((r.each.as_slice(), clip.overall.voxels, clip.regions.len()), (&[0.2, 0.4][..], 20, 2));
        // A region that one subject has is that subject's, without a spread.
        let loc = &clip.regions[1].pearson_per_voxel;
        assert_eq!((loc.value, loc.interval, loc.each.len()), (0.2, None, 1));
        assert_eq!(clip.overall.r_histogram.counts.iter().sum::<u64>(), 2);
        let ahead = &averaged.differences[0];
        assert_eq!((ahead.space.as_str(), ahead.than.as_str()), ("clip", "vit"));
        assert!((ahead.pearson_per_voxel.value - 0.2).abs() < 1e-12);
    }
}
