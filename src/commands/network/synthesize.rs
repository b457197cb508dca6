//! How does a ground truth become networks.npz?

use std::io::{self, Write};

use crate::cli::{EffectArg, SynthesizeArgs};
use crate::datasets::networks::write;
use crate::network::synthetic::{Effect, Synthetic};

/// Makes networks up.
///
/// # Errors
/// Too few people or regions; what the disk says.
pub fn run(args: &SynthesizeArgs) -> anyhow::Result<()> {
    let effect = match args.effect {
        EffectArg::Community => Effect::Community,
        EffectArg::Edges => Effect::Edges,
        EffectArg::None => Effect::None,
    };
    let (strength, seed) = (args.strength, args.seed);
    let synthetic = Synthetic { effect, strength, people: args.people, regions: args.regions, seed };
    write(&args.out, &synthetic.make()?)?;
    let (out, planted) = (args.out.display(), synthetic.edges().len());
    writeln!(
        io::stdout(),
        "{out}: {} networks of {} regions, of which {planted} edges differ by {strength} between case and control",
        args.people,
        args.regions
    )?;
    Ok(())
}
