//! What goes wrong on the way from a scanner to a folder, and how often?

use std::str::FromStr;

use crate::draws::Draws;

/// What happens to one volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScanFault {
    /// Nothing: it comes when it has been acquired.
    None,
    /// It never comes.
    Drop,
    /// It comes again, under another name.
    Duplicate,
    /// It comes 0.2 TR after its successor.
    Reorder,
    /// It comes 2.7 TR late, when it has been given up.
    Delay,
    /// Half of it comes, and the rest 0.3 TR later.
    Truncate,
    /// Half of it comes, and nothing more.
    Cut,
    /// A volume of another series comes after it.
    SecondSeries,
    /// It has one row less than the others.
    WrongDims,
}

impl ScanFault {
    const ALL: [(ScanFault, &'static str); 8] = [
        (ScanFault::Drop, "drop"),
        (ScanFault::Duplicate, "duplicate"),
        (ScanFault::Reorder, "reorder"),
        (ScanFault::Delay, "delay"),
        (ScanFault::Truncate, "truncate"),
        (ScanFault::Cut, "cut"),
        (ScanFault::SecondSeries, "second-series"),
        (ScanFault::WrongDims, "wrong-dims"),
    ];

    /// How many sound volumes follow, so that its effect can be told from another's: one after a volume that is missing
    /// when its successor comes; what comes in its place in time needs none.
    pub(super) fn sound_after(self) -> u64 {
        match self {
            ScanFault::Drop | ScanFault::Reorder | ScanFault::Delay | ScanFault::Cut | ScanFault::WrongDims => 1,
            ScanFault::None | ScanFault::Duplicate | ScanFault::Truncate | ScanFault::SecondSeries => 0,
        }
    }

    /// Its name on the command line and in the truth log; `none` for none.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(fault, _)| *fault == self).map_or("none", |(_, name)| name)
    }
}

/// How likely each fault is for a volume that may have one: after one that is missing in its place a sound volume follows,
/// so that each fault has its own effect.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultRates(Vec<(ScanFault, f64)>);

impl FaultRates {
    /// What happens to volume `number`.
    pub(super) fn draw(&self, seed: u64, number: u64) -> ScanFault {
        let mut left = Draws::new(seed, number as usize).uniform();
        for (fault, rate) in &self.0 {
            left -= rate;
            if left < 0.0 {
                return *fault;
            }
        }
        ScanFault::None
    }
}

impl FromStr for FaultRates {
    type Err = String;

    /// From `drop=0.02,duplicate=0.01`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut rates: Vec<(ScanFault, f64)> = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, rate) =
                part.split_once('=').ok_or_else(|| format!("{part}: give NAME=RATE, as in drop=0.02"))?;
            let names = || ScanFault::ALL.map(|(_, name)| name).join(", ");
            let known = ScanFault::ALL.iter().find(|(_, known)| *known == name);
            let (fault, _) = known.ok_or_else(|| format!("{name}: no such fault (there are {})", names()))?;
            let rate = rate.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
            let rate = rate.ok_or_else(|| format!("{part}: the rate is no number from 0 to 1"))?;
            if rates.iter().any(|(other, _)| other == fault) {
                return Err(format!("{name}: is there twice"));
            }
            rates.push((*fault, rate));
        }
        let sum: f64 = rates.iter().map(|(_, rate)| rate).sum();
        if sum > 1.0 {
            return Err(format!("the rates add up to {sum} (at most 1: a volume has one fault)"));
        }
        Ok(Self(rates))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_kept() {
        let rates: FaultRates = "drop=0.25, second-series=0.5".parse().expect("rates");
        let count = |fault| (0..4000).filter(|n| rates.draw(7, *n) == fault).count();
        let (dropped, second, none) = (count(ScanFault::Drop), count(ScanFault::SecondSeries), count(ScanFault::None));
        assert!(dropped.abs_diff(1000) < 150 && second.abs_diff(2000) < 190 && none.abs_diff(1000) < 150);
        assert!((0..100).all(|n| rates.draw(7, n) == rates.draw(7, n)));
        assert!((0..100).any(|n| rates.draw(7, n) != rates.draw(8, n)));
    }

    #[test]
    fn what_is_no_rate_is_named() {
        let wrong = |text: &str| text.parse::<FaultRates>().err().unwrap_or_default();
        assert!(wrong("dorp=0.1").starts_with("dorp: no such fault (there are drop, duplicate,"));
        assert_eq!(wrong("drop"), "drop: give NAME=RATE, as in drop=0.02");
        assert_eq!(wrong("drop=2"), "drop=2: the rate is no number from 0 to 1");
        assert_eq!(wrong("drop=0.1,drop=0.1"), "drop: is there twice");
        assert_eq!(wrong("drop=0.75,cut=0.75"), "the rates add up to 1.5 (at most 1: a volume has one fault)");
    }
}
