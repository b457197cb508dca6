//! What may go through a network together? Several inputs in one pass, where that gives what they give one by one.
//!
//! A first axis of any length does not make a model one that takes batches: some mix what lies on it, some take padding
//! for words. So an encoder tries it once, before its first batch, with inputs of its own.

use super::EncodeError;

/// How far a value may lie from that of a pass of its own: as a part of the feature's largest, or of 1.
const AGREEMENT: f32 = 1e-5;

/// How inputs go through a network together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batching {
    /// One by one.
    Single,
    /// Those of one size.
    Alike,
    /// Texts of any length, the shorter ones padded and masked.
    Padded,
}

/// A feature or an error for each input.
pub(super) type Features = Vec<Result<Vec<f32>, EncodeError>>;

/// Whether a batch gave what passes of their own gave.
pub(super) fn agree(one_by_one: Features, together: Result<Features, EncodeError>) -> bool {
    let all = |each: Features| each.into_iter().collect::<Result<Vec<_>, _>>();
    let (Ok(one_by_one), Ok(together)) = (all(one_by_one), together.and_then(all)) else { return false };
    let near = |a: &Vec<f32>, b: &Vec<f32>| {
        let largest = a.iter().fold(1.0f32, |most, v| most.max(v.abs()));
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= AGREEMENT * largest)
    };
    one_by_one.len() == together.len() && one_by_one.iter().zip(&together).all(|(a, b)| near(a, b))
}

/// Where among all inputs those lie that can be encoded, and why the others cannot.
pub(super) struct Places(Vec<Option<EncodeError>>);

/// Parts what can be encoded from what cannot.
pub(super) fn sound<T>(prepared: Vec<Result<T, EncodeError>>) -> (Vec<T>, Places) {
    let mut inputs = Vec::with_capacity(prepared.len());
    let place = |one: Result<T, EncodeError>| match one {
        Ok(input) => {
            inputs.push(input);
            None
        }
        Err(error) => Some(error),
    };
    let places = prepared.into_iter().map(place).collect();
    (inputs, Places(places))
}

impl Places {
    /// The features of what could be encoded, with the errors of the others between them.
    pub(super) fn fill(self, features: Features) -> Features {
        let mut features = features.into_iter();
        self.0.into_iter().filter_map(|place| place.map_or_else(|| features.next(), |error| Some(Err(error)))).collect()
    }
}
