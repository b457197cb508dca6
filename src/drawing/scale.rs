//! Where does a value stand? Between two ends of a line, in units from the left or the top.

/// Values from one end to the other, with ticks.
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    step: f64,
}

impl Scale {
    /// Holds 0 and all values, its ends at ticks.
    pub fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = values
            .filter(|v| v.is_finite())
            .fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let high = if high > low { high } else { low + 1.0 };
        // At most about six ticks, at 1, 2 or 5 times a power of ten.
        let rough = (high - low) / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough).unwrap_or(rough);
        // An end that is a tick but for its rounding is one.
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        Self { low: first * step, high: last * step, from, to, step }
    }

    /// Of a value; what is not finite stands at 0.
    pub fn at(&self, value: f64) -> f64 {
        let value = if value.is_finite() { value.clamp(self.low, self.high) } else { 0.0 };
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    pub fn ticks(&self) -> impl Iterator<Item = f64> {
        let first = (self.low / self.step).round() as i64;
        let last = (self.high / self.step).round() as i64;
        (first..=last).map(|tick| tick as f64 * self.step)
    }

    /// As many decimals as the step has.
    pub fn label(&self, tick: f64) -> String {
        let decimals = (-self.step.log10().floor()).clamp(0.0, 6.0) as usize;
        format!("{:.decimals$}", if tick == 0.0 { 0.0 } else { tick })
    }

    /// The largest value it holds.
    pub fn high(&self) -> f64 {
        self.high
    }
}
