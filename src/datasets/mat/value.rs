//! What is at this place of a MATLAB file, and is it what it should be?

use std::path::Path;

use crate::datasets::DatasetError;

/// An array of numbers, column after column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers {
    /// Rows, columns, and whatever comes after.
    pub shape: Vec<usize>,
    /// As many as the shape says.
    pub values: Vec<f64>,
}

/// What a variable, a cell or a field holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Numbers, and logical values as 0 and 1.
    Numbers(Numbers),
    /// Characters, row by row.
    Text(Vec<String>),
    /// Cells, column after column.
    Cell(Vec<Value>),
    /// Of each field in order, its value in every structure of the array, column after column.
    Struct(Vec<(String, Vec<Value>)>),
    /// What is not read, in words.
    Unread(&'static str),
}

/// A value, with what is needed to blame it.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    file: &'a Path,
    name: String,
    value: &'a Value,
}

impl<'a> Place<'a> {
    pub(super) fn new(file: &'a Path, name: String, value: &'a Value) -> Self {
        Self { file, name, value }
    }

    /// What is there.
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// What is wrong here.
    pub fn wrong(&self, problem: impl Into<String>) -> DatasetError {
        DatasetError::Malformed {
            path: self.file.display().to_string(),
            place: self.name.clone(),
            problem: problem.into(),
        }
    }

    fn expected(&self, what: &str) -> DatasetError {
        let found = match self.value {
            Value::Numbers(n) => format!("an array of numbers, {:?}", n.shape),
            Value::Text(_) => "text".into(),
            Value::Cell(items) => format!("{} cells", items.len()),
            Value::Struct(_) => "a structure".into(),
            Value::Unread(what) => format!("{what}, which is not read"),
        };
        self.wrong(format!("{found} (expected {what})"))
    }

    /// A field of a single structure, which must be there.
    ///
    /// # Errors
    /// No structure, several, or none of that name in it.
    pub fn field(&self, name: &str) -> Result<Place<'a>, DatasetError> {
        let Value::Struct(fields) = self.value else { return Err(self.expected("a structure")) };
        self.find(name)?.ok_or_else(|| {
            let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
            self.wrong(format!("no field \"{name}\" (there are: {})", names.join(", ")))
        })
    }

    /// A field of a single structure, where it is there.
    ///
    /// # Errors
    /// No structure, or several.
    pub fn find(&self, name: &str) -> Result<Option<Place<'a>>, DatasetError> {
        let Value::Struct(fields) = self.value else { return Err(self.expected("a structure")) };
        let Some((_, values)) = fields.iter().find(|(field, _)| field == name) else { return Ok(None) };
        match values.as_slice() {
            [value] => Ok(Some(Place::new(self.file, format!("{}.{name}", self.name), value))),
            several => Err(self.wrong(format!("{} structures (expected one)", several.len()))),
        }
    }

    /// The cells, one after another.
    ///
    /// # Errors
    /// No cell array.
    pub fn cells(&self) -> Result<Vec<Place<'a>>, DatasetError> {
        let Value::Cell(items) = self.value else { return Err(self.expected("a cell array")) };
        let place = |(i, value)| Place::new(self.file, format!("{}{{{}}}", self.name, i + 1), value);
        Ok(items.iter().enumerate().map(place).collect())
    }

    /// The cells of a cell array, or the value itself where it is none.
    pub fn cells_or_self(&self) -> Vec<Place<'a>> {
        self.cells().unwrap_or_else(|_| vec![self.clone()])
    }

    /// A line of text, without blanks around it. A cell array of one counts as what is in it.
    ///
    /// # Errors
    /// No text, or several lines.
    pub fn text(&self) -> Result<String, DatasetError> {
        match self.value {
            Value::Text(lines) if lines.len() <= 1 => Ok(lines.concat().trim().to_owned()),
            Value::Cell(items) if items.len() == 1 => match items.first() {
                Some(only) => Place::new(self.file, format!("{}{{1}}", self.name), only).text(),
                None => Err(self.expected("a line of text")),
            },
            _ => Err(self.expected("a line of text")),
        }
    }

    /// Lines of text: a cell array of them, or a character array.
    ///
    /// # Errors
    /// Something else.
    pub fn texts(&self) -> Result<Vec<String>, DatasetError> {
        match self.value {
            Value::Text(lines) => Ok(lines.iter().map(|line| line.trim().to_owned()).collect()),
            _ => self.cells()?.iter().map(Place::text).collect(),
        }
    }

    /// Numbers.
    ///
    /// # Errors
    /// Something else.
    pub fn numbers(&self) -> Result<&'a Numbers, DatasetError> {
        match self.value {
            Value::Numbers(numbers) => Ok(numbers),
            _ => Err(self.expected("an array of numbers")),
        }
    }

    /// A matrix of numbers: rows, columns, and the values column after column.
    ///
    /// # Errors
    /// Something else.
    pub fn matrix(&self) -> Result<(usize, usize, &'a [f64]), DatasetError> {
        let numbers = self.numbers()?;
        match numbers.shape.as_slice() {
            [rows, columns] => Ok((*rows, *columns, &numbers.values)),
            _ => Err(self.expected("a matrix")),
        }
    }

    /// Numbers of columns or rows, which MATLAB counts from 1, counted from 0.
    ///
    /// # Errors
    /// Something else, or one that is no whole number from 1 to `most`.
    pub fn indices(&self, most: usize) -> Result<Vec<usize>, DatasetError> {
        let index = |value: &f64| match *value {
            v if v.fract() == 0.0 && v >= 1.0 && v <= most as f64 => Ok(v as usize - 1),
            v => Err(self.wrong(format!("{v} is no column (they count from 1 to {most})"))),
        };
        self.numbers()?.values.iter().map(index).collect()
    }
}
