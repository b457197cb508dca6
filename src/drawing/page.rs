//! What is every page made of? A head with the style inside, a title, and its parts.

use super::figure::Figure;
use super::palette;

/// The page of a title, what stands beside it (the first of `parts`), and the rest.
pub(crate) fn page(title: &str, parts: &[String]) -> String {
    let title = escape(title);
    let style = palette::css() + include_str!("style.css");
    let (beside, rest) = parts.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>\n{style}</style>\n</head>\n<body>\n<header><h1>{title}</h1>{beside}</header>\n{}</body>\n</html>\n",
        rest.concat()
    )
}

/// A figure, with what it shows and its colours.
pub(crate) fn drawn(figure: &Figure) -> String {
    let key = |(colour, words): &(&'static str, String)| {
        let shape = if *colour == "ink" { " tick" } else { "" };
        format!("<span><i class=\"{colour}{shape}\"></i>{}</span>", escape(words))
    };
    let keys: String = figure.key.iter().map(key).collect();
    let keys = if keys.is_empty() { keys } else { format!("<div class=\"key\">{keys}</div>") };
    let what = escape(&figure.what);
    let size = if figure.width > 500.0 { "large" } else { "small" };
    format!(
        "<figure class=\"{size}\"><figcaption>{what}</figcaption>{keys}<div class=\"scroll\">{}</div></figure>",
        figure.inline()
    )
}

/// For text and attributes.
pub(crate) fn escape(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for letter in words.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(letter),
        }
    }
    out
}

/// To three decimals, or fewer for large numbers, or three digits for tiny ones; a dash for what is not finite.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => "–".into(),
        0.0 => "0.000".into(),
        5e-4..10.0 => format!("{value:.3}"),
        10.0..1000.0 => format!("{value:.1}"),
        1000.0..1e6 => format!("{value:.0}"),
        _ => format!("{value:.1e}"),
    }
}
