//! What does a learner write down of itself? Everything, so that one restored from it goes on bit for bit.

use super::{Core, Guard, LambdaConfig, Learner, Memory, Reader, Skill, StateError, Writer};

impl Learner {
    /// More bytes than [`save`](Self::save) can write, fingerprint included: larger files are refused unread.
    pub(in crate::ridge) fn largest_state(&self) -> u64 {
        let (f, v) = (self.features() as u64, self.targets() as u64);
        // As many λs as may be chosen, or as it began with.
        let groups = self.grid.as_ref().map_or(1, |(_, grid)| grid.len() + 1).max(self.core.rls.groups.len()) as u64;
        let core = groups * f * (f + 20) + (1 + self.most_segments() as u64) * (f + 20) * (f + v + 20);
        let skill = 2 * (2 * self.config.skill.window as u64 + 20) * (v + 1);
        8 * (3 * core + skill) + (1 << 24)
    }

    fn most_segments(&self) -> usize {
        match (&self.config.memory, &self.config.lambda) {
            (Memory::Window(window), _) => window.blocks,
            (_, LambdaConfig::Choose(choose)) => choose.keep_runs,
            _ => 1,
        }
    }

    /// Writes everything it is. A learner restored from it goes on bit for bit as this one does.
    pub fn save(&self, to: &mut Writer) {
        to.usize(self.features());
        to.usize(self.targets());
        self.core.save(to);
        self.skill.save(to);
        self.guard.save(to, Core::save);
        to.option(self.shadow.as_ref(), |shadow, to| shadow.skill.save(to));
        to.flag(self.frozen);
        to.flag(self.due);
        for count in [self.updates, self.refused, self.missing, self.resolved] {
            to.u64(count);
        }
        for measured in [self.drift, self.condition] {
            to.option(measured.as_ref(), |value, to| to.f64(*value));
        }
    }

    /// Becomes what [`save`](Self::save) wrote of a learner of this shape and configuration.
    ///
    /// # Errors
    /// What does not fit; this learner is then unchanged.
    pub fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), StateError> {
        let (features, targets) = (self.features(), self.targets());
        from.exactly(features, "features")?;
        from.exactly(targets, "targets")?;
        let most = self.most_segments();
        let core = Core::load(features, targets, most, from)?;
        let skill = Skill::load(targets, self.config.skill.window, from)?;
        let mut guard = Guard::load(self.config.guard.clone(), from, |from| Core::load(features, targets, most, from))?;
        guard.each(|copy| copy.share(&core));
        let scores =
            from.option("the trusted copy's skill", |from| Skill::load(targets, self.config.skill.window, from))?;
        let (frozen, due) = (from.flag("frozen")?, from.flag("due")?);
        let counts = [from.u64()?, from.u64()?, from.u64()?, from.u64()?];
        let drift = from.option("drift", Reader::f64)?;
        let condition = from.option("condition", Reader::f64)?;
        from.end()?;
        self.shadow = guard.trusted().zip(scores).map(|(core, skill)| {
            let mut shadow = core.shadow(self.config.skill.window);
            shadow.skill = skill;
            shadow
        });
        (self.core, self.skill, self.guard) = (core, skill, guard);
        (self.frozen, self.due, self.drift, self.condition) = (frozen, due, drift, condition);
        [self.updates, self.refused, self.missing, self.resolved] = counts;
        self.backlog = None;
        self.invalidate();
        Ok(())
    }
}
