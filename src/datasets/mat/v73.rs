//! How does MATLAB 7.3 save a variable? In HDF5: a dataset, a group for a structure, and references for cells.
//!
//! HDF5 counts the last dimension fastest and MATLAB the first, so a dataset is read as it lies and its shape is turned
//! round.

use std::path::Path;

use hdf5_pure::{AttrValue, DType, Dataset, File, Group, Object};

use super::{Budget, Mat, Numbers, Value};
use crate::datasets::DatasetError;

/// Where references lead, and MATLAB's own objects.
const HIDDEN: [&str; 2] = ["#refs#", "#subsystem#"];

/// Reads the variables that are wanted.
pub(super) fn read(mat: &mut Mat, wanted: &dyn Fn(&str) -> bool) -> Result<(), DatasetError> {
    let path = mat.path.clone();
    let mut tree = Tree { path: &path, budget: Budget::new() };
    let file = File::open_streaming(&path).map_err(|error| tree.damaged("the file", &error))?;
    let (datasets, groups) = tree.members(&file.root(), "the file")?;
    for (name, dataset) in datasets {
        if wanted(&name) {
            mat.variables.insert(name.clone(), tree.dataset(&dataset, &name, 0)?);
        }
        mat.names.push(name);
    }
    for (name, group) in groups.into_iter().filter(|(name, _)| !HIDDEN.contains(&name.as_str())) {
        if wanted(&name) {
            mat.variables.insert(name.clone(), tree.group(&group, &name, 0)?);
        }
        mat.names.push(name);
    }
    Ok(())
}

/// A file on its way to values.
struct Tree<'a> {
    path: &'a Path,
    budget: Budget,
}

type Members = (Vec<(String, Dataset)>, Vec<(String, Group)>);

impl Tree<'_> {
    fn wrong(&self, place: &str, problem: String) -> DatasetError {
        DatasetError::Malformed { path: self.path.display().to_string(), place: place.into(), problem }
    }

    fn damaged(&self, place: &str, error: &hdf5_pure::Error) -> DatasetError {
        self.wrong(place, format!("{error} (the file is cut off or damaged: copy it again)"))
    }

    fn members(&self, group: &Group, place: &str) -> Result<Members, DatasetError> {
        let damaged = |error| self.damaged(place, &error);
        Ok((group.iter_datasets().map_err(damaged)?.collect(), group.iter_groups().map_err(damaged)?.collect()))
    }

    fn group(&mut self, group: &Group, place: &str, depth: usize) -> Result<Value, DatasetError> {
        self.budget.value(depth).map_err(|problem| self.wrong(place, problem))?;
        let attributes = group.attrs().map_err(|error| self.damaged(place, &error))?;
        if attributes.contains_key("MATLAB_sparse") {
            return Ok(Value::Unread("a sparse array (save it with full)"));
        }
        if !matches!(attributes.get("MATLAB_class").and_then(AttrValue::as_str), None | Some("struct")) {
            return Ok(Value::Unread("an object"));
        }
        let (datasets, groups) = self.members(group, place)?;
        let mut fields = Vec::new();
        for (name, dataset) in datasets {
            let place = format!("{place}.{name}");
            let class = class(&dataset).map_err(|error| self.damaged(&place, &error))?;
            // The fields of an array of structures are references, which no class says to be cells.
            let several = class.is_none() && matches!(dataset.dtype(), Ok(DType::ObjectReference));
            let values = match several {
                true => self.referenced(&dataset, &place, depth)?,
                false => vec![self.dataset(&dataset, &place, depth + 1)?],
            };
            fields.push((name, values));
        }
        for (name, group) in groups {
            let value = self.group(&group, &format!("{place}.{name}"), depth + 1)?;
            fields.push((name, vec![value]));
        }
        Ok(Value::Struct(fields))
    }

    /// What a dataset of references leads to, one after another.
    fn referenced(&mut self, dataset: &Dataset, place: &str, depth: usize) -> Result<Vec<Value>, DatasetError> {
        self.shape(dataset, place)?;
        let objects = dataset.dereference().map_err(|error| self.damaged(place, &error))?;
        let mut values = Vec::with_capacity(objects.len());
        for (i, object) in objects.iter().enumerate() {
            let place = format!("{place}{{{}}}", i + 1);
            values.push(match object {
                Object::Group(group) => self.group(group, &place, depth + 1)?,
                Object::Dataset(dataset) => self.dataset(dataset, &place, depth + 1)?,
                _ => Value::Unread("an object"),
            });
        }
        Ok(values)
    }

    /// Rows first, and no larger than may still be read.
    fn shape(&mut self, dataset: &Dataset, place: &str) -> Result<Vec<usize>, DatasetError> {
        let found = dataset.shape().map_err(|error| self.damaged(place, &error))?;
        let mut shape: Vec<usize> = found.iter().rev().map(|s| usize::try_from(*s).unwrap_or(usize::MAX)).collect();
        // MATLAB knows no less than two dimensions; others write vectors and scalars.
        while shape.len() < 2 {
            shape.push(1);
        }
        self.budget.numbers(&shape).map_err(|problem| self.wrong(place, problem))?;
        Ok(shape)
    }

    fn dataset(&mut self, dataset: &Dataset, place: &str, depth: usize) -> Result<Value, DatasetError> {
        self.budget.value(depth).map_err(|problem| self.wrong(place, problem))?;
        let attributes = dataset.attrs().map_err(|error| self.damaged(place, &error))?;
        let class = attributes.get("MATLAB_class").and_then(AttrValue::as_str).unwrap_or_default();
        // What is empty holds its own dimensions instead.
        if attributes.get("MATLAB_empty").and_then(AttrValue::as_i64).is_some_and(|empty| empty != 0) {
            return Ok(match class {
                "char" => Value::Text(Vec::new()),
                "cell" => Value::Cell(Vec::new()),
                "struct" => Value::Struct(Vec::new()),
                _ => Value::Numbers(Numbers { shape: vec![0, 0], values: Vec::new() }),
            });
        }
        let kind = dataset.dtype().map_err(|error| self.damaged(place, &error))?;
        match (class, kind) {
            ("cell" | "", DType::ObjectReference) => Ok(Value::Cell(self.referenced(dataset, place, depth)?)),
            ("char", DType::U16 | DType::U8 | DType::U32) => self.characters(dataset, place),
            ("", DType::String | DType::VariableLengthString) => {
                self.shape(dataset, place)?;
                Ok(Value::Text(dataset.read_string().map_err(|error| self.damaged(place, &error))?))
            }
            (_, DType::Compound(_)) => Ok(Value::Unread("complex numbers (save their real part)")),
            (_, kind) if is_number(&kind) => {
                let shape = self.shape(dataset, place)?;
                let values = dataset.read_f64().map_err(|error| self.damaged(place, &error))?;
                Ok(Value::Numbers(Numbers { shape, values }))
            }
            _ => Ok(Value::Unread("an object")),
        }
    }

    fn characters(&mut self, dataset: &Dataset, place: &str) -> Result<Value, DatasetError> {
        let shape = self.shape(dataset, place)?;
        let rows = shape.first().copied().unwrap_or_default();
        let units = dataset.read_u16().map_err(|error| self.damaged(place, &error))?;
        let line = |row: usize| {
            String::from_utf16_lossy(&units.iter().skip(row).step_by(rows.max(1)).copied().collect::<Vec<_>>())
        };
        Ok(Value::Text((0..rows).map(line).collect()))
    }
}

fn class(dataset: &Dataset) -> Result<Option<String>, hdf5_pure::Error> {
    Ok(dataset.attrs()?.get("MATLAB_class").and_then(AttrValue::as_str).map(String::from))
}

fn is_number(kind: &DType) -> bool {
    use DType::{F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
    matches!(kind, F32 | F64 | I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64)
}
