//! What is compared? Feature spaces by their names, layers in their order, and those that are taken side by side.

use std::cmp::Ordering;

use anyhow::{Context, ensure};

/// What is evaluated as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// `clip`, `resnet.layer3`, `resnet50+roberta`.
    pub name: String,
    /// The places of its feature spaces among those that were read.
    pub spaces: Vec<usize>,
    /// The model that it is a layer of, and which.
    pub layer: Option<[String; 2]>,
}

/// Every feature space, layers in their order, then each of `fused` (`a+b`).
///
/// # Errors
/// A name that is not there, or a fusion of one.
pub fn candidates(names: &[String], fused: &[String]) -> anyhow::Result<Vec<Candidate>> {
    let parts = |name: &'_ str| name.rsplit_once('.').map(|(model, layer)| [model.to_owned(), layer.to_owned()]);
    // One that stands alone is a name with a dot in it, no layer.
    let layer = |name: &str| {
        parts(name).filter(|[model, _]| {
            names.iter().filter_map(|other| parts(other)).filter(|[other, _]| other == model).count() > 1
        })
    };
    let mut all: Vec<Candidate> = names
        .iter()
        .enumerate()
        .map(|(place, name)| Candidate { name: name.clone(), spaces: vec![place], layer: layer(name) })
        .collect();
    // Models stay where the first of their layers is.
    let model = |of: &Candidate| of.layer.as_ref().map_or_else(|| of.name.clone(), |[model, _]| model.clone());
    let order: Vec<String> = all.iter().map(model).collect();
    let place = |of: &Candidate| order.iter().position(|known| *known == model(of));
    all.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| numerically(&a.name, &b.name)));
    for fusion in fused {
        let wanted: Vec<&str> = fusion.split('+').collect();
        ensure!(wanted.len() > 1, "--fuse {fusion}: name two feature spaces or more, such as resnet50+roberta");
        let find = |name: &&str| {
            names.iter().position(|known| known == name).with_context(|| {
                format!("--fuse {fusion}: there is no feature space {name} (there is: {})", names.join(", "))
            })
        };
        let spaces = wanted.iter().map(find).collect::<anyhow::Result<Vec<_>>>()?;
        all.push(Candidate { name: fusion.clone(), spaces, layer: None });
    }
    Ok(all)
}

/// By their letters, but numbers in them by their size: layer9 before layer10.
fn numerically(a: &str, b: &str) -> Ordering {
    pieces(a).cmp(&pieces(b)).then_with(|| a.cmp(b))
}

/// Numbers and what stands between them.
fn pieces(name: &str) -> Vec<(bool, u64, String)> {
    let letters: Vec<char> = name.chars().collect();
    letters
        .chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit())
        .map(|piece| {
            let text: String = piece.iter().collect();
            match text.parse::<u64>() {
                Ok(number) => (false, number, String::new()),
                Err(_) => (true, 0, text),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_in_their_order_and_names_with_dots_are_none() {
        let names = ["alone.v2", "net.10", "net.2", "net.9b", "zeta", "vit.block_1", "vit.block_11", "vit.block_3"]
            .map(String::from);
        let all = candidates(&names, &["zeta+alone.v2".into()]).unwrap();
        let found: Vec<&str> = all.iter().map(|of| of.name.as_str()).collect();
        let expected = [
            "alone.v2",
            "net.2",
            "net.9b",
            "net.10",
            "zeta",
            "vit.block_1",
            "vit.block_3",
            "vit.block_11",
            "zeta+alone.v2",
        ];
        assert_eq!(found, expected);
        assert_eq!((all[0].layer.clone(), all[1].layer.clone()), (None, Some(["net".into(), "2".into()])));
        assert_eq!((all[1].spaces.clone(), all[8].spaces.clone()), (vec![2], vec![4, 0]));
        let says = |fusion: &str| candidates(&names, &[fusion.into()]).unwrap_err().to_string();
        assert!(says("zeta").contains("two feature spaces"));
        assert!(says("zeta+beta").contains("no feature space beta (there is: alone.v2, net.10"));
    }
}
