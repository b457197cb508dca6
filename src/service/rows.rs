//! How do numbers come in JSON? Row by row as lists, or packed: their shape, and the bytes of float32 as base64.
//!
//! `[[0.5, 1.0], [0.25, 0.0]]` and `{"shape": [2, 2], "float32": "AAAAPwAAgD8AAIA+AAAAAA=="}` (little-endian, row by
//! row) are the same rows. Nothing larger is made than the text they stand in, whatever it says.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::frame::Rows;

/// Rows as they stand in a request.
#[derive(Debug)]
pub(super) struct JsonRows(pub Rows);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Packed {
    shape: [usize; 2],
    float32: String,
}

impl<'de> Deserialize<'de> for JsonRows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = JsonRows;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("rows of numbers like [[0.5, 1.0], …], or {\"shape\": [n, d], \"float32\": \"BASE64\"}")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<JsonRows, A::Error> {
                let (mut count, mut width, mut values) = (0, 0, Vec::new());
                while let Some(row) = list.next_element::<Vec<f32>>()? {
                    match count {
                        0 => width = row.len(),
                        _ if row.len() == width => {}
                        _ => {
                            let got = row.len();
                            return Err(A::Error::custom(format!("row {count} has {got} numbers, row 0 has {width}")));
                        }
                    }
                    count += 1;
                    values.extend(row);
                }
                Rows::new(count, width, values).map(JsonRows).ok_or_else(|| A::Error::custom("rows of unlike lengths"))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<JsonRows, A::Error> {
                let Packed { shape: [count, width], float32 } = Packed::deserialize(MapAccessDeserializer::new(map))?;
                let bytes = BASE64_STANDARD.decode(float32).map_err(|e| A::Error::custom(format!("float32: {e}")))?;
                let (values, rest) = bytes.as_chunks::<4>();
                let values = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
                let rows = Rows::new(count, width, values).filter(|_| rest.is_empty());
                rows.map(JsonRows).ok_or_else(|| {
                    let got = bytes.len();
                    A::Error::custom(format!("float32 has {got} bytes, which are not {count} × {width} × 4"))
                })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_packed_bytes_are_the_same_rows() {
        let read = |text: &str| serde_json::from_str::<JsonRows>(text).unwrap().0;
        let rows = read("[[0.5, 1], [0.25, 0.0]]");
        assert_eq!((rows.count(), rows.width(), &rows.values()[..]), (2, 2, &[0.5, 1.0, 0.25, 0.0][..]));
        assert_eq!(read(r#"{"shape": [2, 2], "float32": "AAAAPwAAgD8AAIA+AAAAAA=="}"#), rows);
        assert_eq!((read("[]").count(), read("[[], []]").count()), (0, 2));
        // The nearest float32, as NumPy's astype has it.
        assert_eq!(read("[[0.1, 16777217]]").values()[..], [0.1_f32, 16_777_216.0]);
    }

    #[test]
    fn what_are_no_rows_is_refused_by_what_is_wrong() {
        for (text, says) in [
            ("[[1, 2], [3]]", "row 1 has 1 numbers, row 0 has 2"),
            ("[1, 2]", "expected a sequence"),
            ("[[\"1\"]]", "expected f32"),
            ("[[NaN]]", "expected value"),
            ("[[1e999]]", "number out of range"),
            ("7", "expected rows of numbers like"),
            (r#"{"shape": [1, 2], "float32": "AAAAPw=="}"#, "float32 has 4 bytes, which are not 1 × 2 × 4"),
            (r#"{"shape": [1, 1], "float32": "AAAAP"}"#, "float32: "),
            (r#"{"shape": [4611686018427387904, 4], "float32": ""}"#, "float32 has 0 bytes"),
            (r#"{"shape": [1, 1], "float32": "AAAAPwA="}"#, "float32 has 5 bytes"),
            (r#"{"shape": [1], "float32": ""}"#, "invalid length 1"),
            (r#"{"shape": [1, 1], "float64": ""}"#, "unknown field `float64`"),
        ] {
            let error = serde_json::from_str::<JsonRows>(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
