//! Which bands? Named pairs of frequencies, written as a table or as a list.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Bands in the order they are written: `{ alpha = [8, 13], beta = [13, 30] }`, or `[[8, 13], [13, 30]]`, whose names
/// then are `8-13Hz` and `13-30Hz`.
#[derive(Clone, Debug, PartialEq)]
pub struct Bands(pub Vec<Band>);

/// One band; both edges belong to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// What features are named after: `Cz alpha`.
    pub name: String,
    /// The lower edge, in Hz.
    pub low: f64,
    /// The upper edge, in Hz.
    pub high: f64,
}

impl<'de> Deserialize<'de> for Bands {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BandsVisitor)
    }
}

struct BandsVisitor;

impl<'de> Visitor<'de> for BandsVisitor {
    type Value = Bands;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bands as { alpha = [8, 13] } or [[8, 13]]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bands, A::Error> {
        let mut bands = Vec::new();
        while let Some((name, [low, high])) = map.next_entry::<String, [f64; 2]>()? {
            bands.push(Band { name, low, high });
        }
        Ok(Bands(bands))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Bands, A::Error> {
        let mut bands = Vec::new();
        while let Some([low, high]) = list.next_element::<[f64; 2]>()? {
            bands.push(Band { name: format!("{low}-{high}Hz"), low, high });
        }
        Ok(Bands(bands))
    }
}

impl Serialize for Bands {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for band in &self.0 {
            map.serialize_entry(&band.name, &[band.low, band.high])?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, serde::Serialize, Debug, PartialEq)]
    struct Holder {
        bands: Bands,
    }

    #[test]
    fn both_ways_of_writing_bands_are_read_and_written_back() {
        let listed: Holder = toml::from_str("bands = [[13, 30], [0.5, 4]]").unwrap();
        let names: Vec<&str> = listed.bands.0.iter().map(|b| b.name.as_str()).collect();
        assert_eq!(names, ["13-30Hz", "0.5-4Hz"]);
        let named: Holder = toml::from_str("bands = { theta = [4, 8.0], alpha = [8, 13] }").unwrap();
        assert!(named.bands.0.contains(&Band { name: "theta".into(), low: 4.0, high: 8.0 }));
        for holder in [listed, named] {
            let text = toml::to_string(&holder).unwrap();
            let mut again: Holder = toml::from_str(&text).unwrap();
            // TOML tables come back in the reader's own order.
            again.bands.0.sort_by_key(|b| holder.bands.0.iter().position(|o| o == b));
            assert_eq!(again, holder);
        }
        let error = toml::from_str::<Holder>("bands = 3").unwrap_err();
        assert!(error.message().contains("expected bands as { alpha = [8, 13] } or [[8, 13]]"), "{error}");
    }
}
