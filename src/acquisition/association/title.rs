//! Who is it? An application entity's title: up to 16 printable letters. It names, it does not prove.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An application entity title. (PS3.5 §6.2, AE.)
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct AeTitle(String);

impl AeTitle {
    /// What we are called unless configured.
    pub fn neurod() -> Self {
        Self("NEUROD".into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AeTitle {
    type Err = String;

    /// Spaces around it mean nothing.
    fn from_str(text: &str) -> Result<Self, String> {
        let title = text.trim_matches(' ');
        let plain = |c: char| (' '..='~').contains(&c) && c != '\\';
        if title.is_empty() || title.len() > 16 || !title.chars().all(plain) {
            return Err(format!("{text:?}: an AE title is 1 to 16 letters, digits and signs, without a backslash"));
        }
        Ok(Self(title.into()))
    }
}

impl TryFrom<String> for AeTitle {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<AeTitle> for String {
    fn from(title: AeTitle) -> Self {
        title.0
    }
}

impl fmt::Display for AeTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_sixteen_printable_letters_at_most() {
        let of = |text: &str| text.parse::<AeTitle>().map(|title| title.0);
        assert_eq!([of("SCANNER "), of("MR 1.5T-A_b")], [Ok("SCANNER".into()), Ok("MR 1.5T-A_b".into())]);
        for wrong in ["", "   ", "SEVENTEEN_LETTERS", "A\\B", "Größe", "A\nB"] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }
}
