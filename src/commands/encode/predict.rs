//! What responses does a fitted model expect of these features? One row a sample, whether anybody measured it or not.

use std::io::{self, Write};

use anyhow::Context;
use ndarray::{Array2, ArrayView2};
use ndarray_npy::write_npy;

use super::fit::feature_space;
use super::timing::Timing;
use super::write::whole;
use crate::cli::PredictArgs;
use crate::datasets::Folder;
use crate::encoding::EncodingError;
use crate::ridge::FittedModel;

/// Predicts.
///
/// # Errors
/// A model or features that cannot be read, or do not belong together.
pub fn run(args: &PredictArgs) -> anyhow::Result<()> {
    let model = FittedModel::read(&args.model)?;
    let description = &model.description;
    let names: Vec<String> = description.features.iter().map(|space| space.name.clone()).collect();
    let data = Folder::<f64>::without_responses(&args.data, &names)?;
    let here = data.spaces.iter().zip(&description.features).map(|((name, dims), space)| {
        let here = feature_space(&args.data, name, *dims)?;
        // An array that does not say which encoder made it goes by its name.
        let sha256 = here.sha256.or_else(|| space.sha256.clone()).unwrap_or_default();
        Ok((name.as_str(), *dims, sha256))
    });
    let here = here.collect::<anyhow::Result<Vec<_>>>()?;
    model.check_features(here.iter().map(|(name, dims, sha256)| (*name, *dims, sha256.as_str())))?;
    let rows = Timing::of(description).apply(data.features.view(), &data.runs);
    if let Some(((row, column), _)) = rows.indexed_iter().find(|(_, v)| !v.is_finite()) {
        return Err(EncodingError::NotFinite { row, column }.into());
    }
    let predicted = predict(&model, rows.view());
    let written = whole(&args.out, |partial| Ok(write_npy(partial, &predicted)?));
    written.with_context(|| format!("--out {}", args.out.display()))?;
    writeln!(io::stdout(), "{}: {} × {}", args.out.display(), predicted.nrows(), predicted.ncols())?;
    Ok(())
}

fn predict(model: &FittedModel, rows: ArrayView2<'_, f64>) -> Array2<f64> {
    let values = model.predict(&rows.iter().copied().collect::<Vec<f64>>());
    Array2::from_shape_vec((rows.nrows(), model.targets()), values).unwrap_or_default()
}
