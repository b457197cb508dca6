//! Connectomes are those of nilearn, numpy and scipy (tests/golden/make_connectome.py).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use ndarray::{Array2, Array3, ArrayView2, Axis, s};
use neurod::network::connectome::{
    Band, Connectome, Kind, Shrinkage, TangentSpace, connectome, matrix, vector_length, vectorise,
};
use serde_json::Value;

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/connectome.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn array(rows: &Value) -> Array2<f64> {
    let row = |row: &Value| row.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
    let rows: Vec<Vec<f64>> = rows.as_array().unwrap().iter().map(row).collect();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn arrays(list: &Value) -> Vec<Array2<f64>> {
    list.as_array().unwrap().iter().map(array).collect()
}

/// The largest difference beside the largest value.
fn apart(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    assert_eq!(a.dim(), b.dim());
    let most = b.iter().fold(1.0f64, |most, v| most.max(v.abs()));
    a.iter().zip(b).map(|(a, b)| if a.is_nan() { f64::INFINITY } else { (a - b).abs() / most }).fold(0.0, f64::max)
}

fn made(series: &Array2<f64>, kind: Kind, shrinkage: Shrinkage) -> Connectome {
    connectome(series.view(), kind, shrinkage, "x").unwrap()
}

const KINDS: [(&str, Kind); 4] = [
    ("correlation", Kind::Pearson),
    ("partial correlation", Kind::Partial),
    ("covariance", Kind::Covariance),
    ("precision", Kind::Precision),
];

#[test]
fn every_kind_is_nilearns() {
    let golden = golden();
    let series = arrays(&golden["series"]);
    let clean: Vec<_> = series.iter().enumerate().filter(|(i, _)| *i != 1).map(|(_, s)| s.clone()).collect();
    let short = vec![array(&golden["short"])];
    let sets = [
        ("ledoit_wolf", &series, Shrinkage::LedoitWolf),
        ("flat_ledoit_wolf", &arrays(&golden["flat"]), Shrinkage::LedoitWolf),
        ("short_ledoit_wolf", &short, Shrinkage::LedoitWolf),
        ("none", &clean, Shrinkage::None),
    ];
    for (set, series, shrinkage) in sets {
        for (name, kind) in KINDS {
            let expected = arrays(&golden[set][name]);
            assert_eq!(expected.len(), series.len(), "{set} {name}");
            for (series, expected) in series.iter().zip(&expected) {
                let got = made(series, kind, shrinkage);
                assert!(apart(&got.matrix, expected) < 1e-9, "{set} {name}: {}", apart(&got.matrix, expected));
                assert_eq!(got.matrix, got.matrix.t(), "{set} {name}");
            }
        }
    }
    let flat = made(&arrays(&golden["flat"])[0], Kind::Pearson, Shrinkage::None);
    assert_eq!((flat.flat, flat.matrix[[3, 0]], flat.matrix[[3, 3]], flat.shrinkage), (1, 0.0, 1.0, 0.0));
}

#[test]
fn correlations_are_numpys_and_scipys() {
    let golden = golden();
    let series = arrays(&golden["series"]);
    for (series, expected) in series.iter().zip(arrays(&golden["corrcoef"])) {
        assert!(apart(&made(series, Kind::Pearson, Shrinkage::None).matrix, &expected) < 1e-12);
    }
    let short = array(&golden["short"]);
    for (series, expected) in series.iter().chain([&short]).zip(arrays(&golden["spearman"])) {
        assert!(apart(&made(series, Kind::Spearman, Shrinkage::None).matrix, &expected) < 1e-12);
    }
    let band = Band { low: 0.05, high: 0.2, tr: 2.0 };
    let got = made(&series[0], Kind::Coherence(band), Shrinkage::None).matrix;
    assert!(apart(&got, &array(&golden["coherence"])) < 1e-10, "{got}");
}

#[test]
fn the_tangent_space_is_nilearns_and_knows_its_rows_only() {
    let golden = golden();
    let series = arrays(&golden["series"]);
    let covariances: Vec<_> =
        series.iter().map(|s| made(s, Kind::Covariance, Shrinkage::LedoitWolf).covariance).collect();
    let views: Vec<ArrayView2<'_, f64>> = covariances.iter().map(|c| c.view()).collect();
    let mut stacked: Array3<f64> = ndarray::stack(Axis(0), &views).unwrap();
    let train = [0, 2, 3, 4];
    let space = TangentSpace::fit(stacked.view(), &train).unwrap();
    let expected = &golden["tangent"];
    assert!(space.converged());
    assert!(apart(&space.reference().to_owned(), &array(&expected["mean"])) < 1e-9);
    let transformed: Vec<_> =
        train.iter().map(|row| space.transform(stacked.index_axis(Axis(0), *row)).unwrap()).collect();
    for (got, expected) in transformed.iter().zip(arrays(&expected["train"])) {
        assert!(apart(got, &expected) < 1e-9);
    }
    for (row, expected) in [1, 0].into_iter().zip(arrays(&expected["unseen"])) {
        assert!(apart(&space.transform(stacked.index_axis(Axis(0), row)).unwrap(), &expected) < 1e-9);
    }
    for (array_name, diagonal) in [("vectors", true), ("without_diagonal", false)] {
        let vectors = array(&expected[array_name]);
        assert_eq!(vectors.ncols(), vector_length(6, diagonal));
        for (got, expected) in transformed.iter().zip(vectors.rows()) {
            let got = vectorise(got.view(), diagonal);
            assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9));
        }
    }
    let back = matrix(&vectorise(transformed[0].view(), true), 6, true);
    assert!(apart(&back, &transformed[0]) < 1e-15);

    stacked.slice_mut(s![1, .., ..]).fill(f64::NAN);
    assert_eq!(TangentSpace::fit(stacked.view(), &train).unwrap(), space);
    let says = |rows: &[usize]| TangentSpace::fit(stacked.view(), rows).unwrap_err().to_string();
    assert!(says(&[0, 1]).contains("not positive definite") && says(&[]).contains("no covariance to take the mean of"));
    assert!(space.transform(stacked.slice(s![0, ..5, ..5])).unwrap_err().to_string().contains("has 6 regions"));
}

#[test]
fn series_that_make_no_network_say_why() {
    let golden = golden();
    let short = array(&golden["short"]);
    let says = |series: ArrayView2<'_, f64>, kind: Kind| {
        connectome(series, kind, Shrinkage::None, "sub-01 heat").unwrap_err().to_string()
    };
    assert!(
        says(short.slice(s![.., ..1]), Kind::Pearson).contains("sub-01 heat: 1 region (a network has at least two)")
    );
    assert!(says(short.slice(s![..1, ..]), Kind::Pearson).contains("1 volumes (at least two"));
    let mut holed = short.clone();
    holed[[2, 1]] = f64::NAN;
    assert!(says(holed.view(), Kind::Pearson).contains("NaN in volume 3, region 2"));
    for kind in [Kind::Partial, Kind::Precision] {
        assert!(
            says(short.view(), kind).contains("its covariance has no inverse, 5 volumes of 6 regions (--shrinkage")
        );
    }
    let band = |low, high| Kind::Coherence(Band { low, high, tr: 2.0 });
    assert!(says(short.view(), band(0.01, 0.1)).contains("coherence needs at least 16"));
    assert!(says(arrays(&golden["series"])[0].view(), band(0.3, 0.4)).contains("no frequency in 0.3–0.4 Hz"));
}
