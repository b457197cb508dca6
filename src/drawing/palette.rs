//! Which colours? Each by its name, on light ground and on dark; figures in files have the light ones.

/// Name, on light, on dark.
const COLOURS: [(&str, &str, &str); 40] = [
    ("ground", "#f4f6f8", "#0e141a"),
    ("card", "#ffffff", "#161f28"),
    ("ink", "#16202a", "#e5ecf2"),
    ("soft", "#566573", "#9aa9b8"),
    ("line", "#dfe4e8", "#2b3844"),
    ("none", "#e9edf0", "#24303b"),
    ("two-v-two", "#0072b2", "#56b4e9"),
    ("voxel", "#d55e00", "#e69f00"),
    ("sample", "#009e73", "#2bc49a"),
    ("error", "#7a5195", "#cc79a7"),
    // Feature spaces: told apart by eyes that see few colours as well (after Okabe and Ito, and Tol).
    ("s0", "#0072b2", "#56b4e9"),
    ("s1", "#e69f00", "#f0b429"),
    ("s2", "#009e73", "#2bc49a"),
    ("s3", "#cc79a7", "#e39bc3"),
    ("s4", "#d55e00", "#f07f3c"),
    ("s5", "#56b4e9", "#9ad3f5"),
    ("s6", "#882255", "#c7689a"),
    ("s7", "#999933", "#c4c45c"),
    ("s8", "#332288", "#8f7fe0"),
    ("s9", "#6b7580", "#aab4be"),
    // r in the brain, from nothing to the most.
    ("h0", "#dfe4e8", "#2b3844"),
    ("h1", "#fde3b5", "#4a2f2a"),
    ("h2", "#fccb7e", "#6e3528"),
    ("h3", "#faae54", "#933c26"),
    ("h4", "#f48d3d", "#b84a24"),
    ("h5", "#e86b30", "#d75f22"),
    ("h6", "#d44c2b", "#ef7c25"),
    ("h7", "#b5322b", "#fb9d35"),
    ("h8", "#8d1d2c", "#ffc053"),
    ("h9", "#5c0f2b", "#ffe38a"),
    // The same below nothing, where how far below is shown.
    ("c1", "#d6e6f4", "#243648"),
    ("c2", "#b5d1ea", "#27466a"),
    ("c3", "#8db8de", "#2a588b"),
    ("c4", "#649ece", "#2f6bab"),
    ("c5", "#4085bd", "#3b80c6"),
    ("c6", "#2569a6", "#5497da"),
    ("c7", "#164f8b", "#75afe8"),
    ("c8", "#0d376c", "#9cc8f3"),
    ("c9", "#08234a", "#c8e1fb"),
    // Below nothing.
    ("below", "#9fc3dd", "#35607d"),
];

/// Steps of r in the brain, from nothing to the most.
pub(crate) const HEAT: [&str; 10] = ["h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8", "h9"];

/// Steps below nothing, from nothing to the most.
pub(crate) const COLD: [&str; 10] = ["h0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"];

/// The colour of a feature space by its place; they come again after ten.
pub(crate) fn series(place: usize) -> &'static str {
    const SERIES: [&str; 10] = ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"];
    SERIES.get(place % SERIES.len()).copied().unwrap_or("s0")
}

/// A colour on light ground, such as `#0072b2`.
pub(crate) fn on_light(name: &str) -> &'static str {
    COLOURS.iter().find(|(known, ..)| *known == name).map_or("#000000", |(_, light, _)| light)
}

/// The same as red, green and blue.
pub(crate) fn rgb(name: &str) -> [u8; 3] {
    let digits = on_light(name).get(1..).unwrap_or_default();
    [0, 2, 4].map(|at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(0))
}

/// The page's variables, and a class for each colour.
pub(crate) fn css() -> String {
    let variables = |dark: bool| -> String {
        let of =
            |(name, light, on_dark): &(&str, &str, &str)| format!("--{name}:{};", if dark { on_dark } else { light });
        COLOURS.iter().map(of).collect()
    };
    let classes: String = COLOURS.iter().map(|(name, ..)| format!(".{name}{{--of:var(--{name})}}")).collect();
    format!(
        ":root{{color-scheme:light dark;{}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{}}}}}\n{classes}\n",
        variables(false),
        variables(true)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_is_one() {
        for (name, light, dark) in COLOURS {
            for colour in [light, dark] {
                assert!(colour.len() == 7 && u32::from_str_radix(&colour[1..], 16).is_ok(), "{name}");
            }
        }
        assert_eq!((rgb("s0"), series(13)), ([0, 0x72, 0xb2], "s3"));
        assert!(HEAT.iter().chain(&COLD).chain([&"below", &"none"]).all(|name| on_light(name) != "#000000"));
    }
}
