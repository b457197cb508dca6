//! What does chance draw? Seeded numbers that are the same on every machine and whatever the number of threads.
//!
//! SplitMix64 (Steele, Lea and Flood 2014, OOPSLA). Every draw of a bootstrap or permutation test has a generator of its
//! own, made from the seed and the number of the draw, so that they may be computed in any order.

/// A generator of uniform 64-bit numbers.
#[derive(Clone, Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    /// The generator of draw number `draw`.
    pub fn new(seed: u64, draw: usize) -> Self {
        Self(mix(mix(seed) ^ draw as u64))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Uniform on `0..bound`, without bias (Lemire 2019, ACM TOMACS 29:3); `bound` is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        let surplus = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next()) * u128::from(bound);
            if product as u64 >= surplus {
                return (product >> 64) as usize;
            }
        }
    }

    /// Uniform on (0, 1).
    pub fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Normal, with mean 0 and variance 1 (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Gamma distributed with this shape and scale 1 (Marsaglia and Tsang 2000, ACM TOMS 26:363; for shapes below 1 with
    /// their boost by a power of a uniform number).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = self.uniform().powf(1.0 / shape);
            return self.gamma(shape + 1.0) * boost;
        }
        let d = shape - 1.0 / 3.0;
        loop {
            let x = self.normal();
            let v = (1.0 + x / (9.0 * d).sqrt()).powi(3);
            if v > 0.0 && self.uniform().ln() < 0.5 * x * x + d * (1.0 - v + v.ln()) {
                return d * v;
            }
        }
    }

    /// Puts `values` in an order drawn from all orders (Fisher and Yates).
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i + 1));
        }
    }
}

/// SplitMix64's output function.
fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_paper() {
        // The reference implementation's first outputs of seed 1234567.
        let mut draws = Draws(1_234_567);
        let first = [draws.next(), draws.next(), draws.next()];
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn every_number_and_every_order_is_as_likely() {
        let (mut counts, mut orders) = ([0; 7], std::collections::BTreeMap::new());
        for draw in 0..6000 {
            let mut draws = Draws::new(3, draw);
            counts[draws.below(7)] += 1;
            let mut order = [0, 1, 2];
            draws.shuffle(&mut order);
            *orders.entry(order).or_insert(0) += 1;
        }
        // Six standard deviations of a binomial count.
        assert!(counts.iter().all(|n| (n - 6000 / 7_i32).abs() < 165), "{counts:?}");
        assert!(orders.len() == 6 && orders.values().all(|n: &i32| (n - 1000).abs() < 175), "{orders:?}");
        assert_eq!((Draws::new(0, 0).below(1), Draws::new(0, 0).below(0)), (0, 0));
    }
}
