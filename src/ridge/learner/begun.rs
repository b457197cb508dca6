//! How does a learner begin from what was fitted before? With those weights, and with the moments of the rows behind them.

use super::{Learner, Moments, RidgeConfig, RidgeError, Rls};

impl Learner {
    /// Begins with the weights of `rls`. With the `moments` of the rows behind them it goes on as if it had learned from
    /// those rows itself; without, it never learns.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub(in crate::ridge) fn begun(
        rls: Rls,
        moments: Option<Moments>,
        config: &RidgeConfig,
    ) -> Result<Self, RidgeError> {
        let mut learner = Self::new(rls.features(), rls.targets(), config)?;
        learner.updates = rls.n() as u64;
        learner.core.rls = rls;
        match moments {
            Some(moments) => learner.core.segments = vec![moments.into()],
            None => (learner.fixed, learner.frozen) = (true, true),
        }
        Ok(learner)
    }

    /// Whether it can never learn, for want of the moments behind its weights.
    pub fn is_fixed(&self) -> bool {
        self.fixed
    }
}
