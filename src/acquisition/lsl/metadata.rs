//! What do the columns of a stream mean? Labels, kinds and units from its description.

use lsl::{StreamInfo, XMLElement};

use crate::frame::{Channel, Unit, unique_names};

/// A stream's columns, and what to multiply each with for its unit; empty when that is 1 throughout.
pub(super) struct Columns {
    pub channels: Vec<Channel>,
    pub scale: Vec<f64>,
}

/// Reads `desc/channels/channel/{label,type,unit}`. What is missing is made up: `EEG1`, `EEG2`, … of the stream's type.
pub(super) fn columns(info: &mut StreamInfo) -> Columns {
    let count = usize::try_from(info.channel_count()).unwrap_or(0);
    let stream_type = info.stream_type();
    let kind = if stream_type.is_empty() { "MISC".to_owned() } else { stream_type };
    let mut channel = info.desc().child("channels").child("channel");
    let (mut names, mut kinds, mut units) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=count {
        let text = |name: &str| Some(trimmed(&channel, name)).filter(|t| !t.is_empty());
        names.push(text("label").unwrap_or_else(|| format!("{kind}{number}")));
        kinds.push(text("type").unwrap_or_else(|| kind.clone()));
        units.push(unit(&text("unit").unwrap_or_default()));
        channel = channel.next_sibling_named("channel");
    }
    let scaled = units.iter().any(|(_, factor)| *factor != 1.0);
    let scale = if scaled { units.iter().map(|(_, factor)| *factor).collect() } else { Vec::new() };
    let named = unique_names(names).into_iter().zip(kinds).zip(units);
    Columns { channels: named.map(|((name, kind), (unit, _))| Channel::new(name, kind, unit)).collect(), scale }
}

fn trimmed(element: &XMLElement, child: &str) -> String {
    element.child_value_named(child).trim().to_owned()
}

/// The unit of what is written, and the factor to it. Voltages become microvolts.
fn unit(written: &str) -> (Unit, f64) {
    match written {
        "V" => return (Unit::Microvolt, 1e6),
        "mV" => return (Unit::Microvolt, 1e3),
        "nV" => return (Unit::Microvolt, 1e-3),
        _ => {}
    }
    match written.to_lowercase().as_str() {
        // Both the micro sign and the Greek letter are in use.
        "microvolts" | "microvolt" | "uv" | "\u{b5}v" | "\u{3bc}v" => (Unit::Microvolt, 1.0),
        "volts" | "volt" => (Unit::Microvolt, 1e6),
        "millivolts" | "millivolt" => (Unit::Microvolt, 1e3),
        "nanovolts" | "nanovolt" => (Unit::Microvolt, 1e-3),
        "uv2" | "uv^2" | "\u{b5}v\u{b2}" | "\u{3bc}v\u{b2}" => (Unit::MicrovoltSquared, 1.0),
        "z" | "zscore" | "z-score" => (Unit::ZScore, 1.0),
        "psc" | "%" | "percent" => (Unit::PercentSignalChange, 1.0),
        _ => (Unit::Arbitrary, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voltages_become_microvolts_and_the_unknown_stays_arbitrary() {
        assert_eq!(unit("microvolts"), (Unit::Microvolt, 1.0));
        assert_eq!(unit("µV"), (Unit::Microvolt, 1.0));
        assert_eq!(unit("V"), (Unit::Microvolt, 1e6));
        assert_eq!(unit("volts"), (Unit::Microvolt, 1e6));
        assert_eq!(unit("mV"), (Unit::Microvolt, 1e3));
        assert_eq!(unit("z"), (Unit::ZScore, 1.0));
        assert_eq!(unit("degrees"), (Unit::Arbitrary, 1.0));
    }
}
