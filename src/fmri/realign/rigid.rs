//! How does a head move? A rotation and a shift, and the six numbers that the field writes for them.

/// A rigid map of positions in mm: `x ↦ R x + t`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rigid {
    /// `R`.
    pub rotation: [[f64; 3]; 3],
    /// `t`, in mm.
    pub shift: [f64; 3],
}

impl Rigid {
    /// Where everything stays.
    pub const IDENTITY: Self = Self { rotation: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], shift: [0.0; 3] };

    /// What each parameter is called in fMRIPrep's tables of confounds.
    pub const NAMES: [&str; 6] = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"];

    /// From x, y, z in mm and pitch, roll, yaw in radians: `T · Rx · Ry · Rz`, as SPM's `spm_matrix` has it.
    pub fn from_parameters([x, y, z, pitch, roll, yaw]: [f64; 6]) -> Self {
        let ((sp, cp), (sr, cr), (sy, cy)) = (pitch.sin_cos(), roll.sin_cos(), yaw.sin_cos());
        let about_x = [[1.0, 0.0, 0.0], [0.0, cp, sp], [0.0, -sp, cp]];
        let about_y = [[cr, 0.0, sr], [0.0, 1.0, 0.0], [-sr, 0.0, cr]];
        let about_z = [[cy, sy, 0.0], [-sy, cy, 0.0], [0.0, 0.0, 1.0]];
        Self { rotation: product(&product(&about_x, &about_y), &about_z), shift: [x, y, z] }
    }

    /// x, y, z in mm and pitch, roll, yaw in radians, as SPM's `spm_imatrix` reads them from a matrix.
    pub fn parameters(&self) -> [f64; 6] {
        let r = &self.rotation;
        let roll = r[0][2].clamp(-1.0, 1.0).asin();
        let (pitch, yaw) = if (roll.abs() - std::f64::consts::FRAC_PI_2).powi(2) < 1e-9 {
            (0.0, (-r[1][0]).atan2(-r[2][0] / r[0][2]))
        } else {
            (r[1][2].atan2(r[2][2]), r[0][1].atan2(r[0][0]))
        };
        [self.shift[0], self.shift[1], self.shift[2], pitch, roll, yaw]
    }

    /// By `turn` (an axis times an angle in radians) about `centre`, then by `shift`.
    pub(super) fn about(centre: [f64; 3], shift: [f64; 3], turn: [f64; 3]) -> Self {
        let angle = turn.iter().map(|w| w * w).sum::<f64>().sqrt();
        let mut rotation = Self::IDENTITY.rotation;
        if angle > 0.0 {
            // Rodrigues: I + sin θ K + (1 − cos θ) K².
            let [x, y, z] = turn.map(|w| w / angle);
            let k = [[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]];
            let squared = product(&k, &k);
            for (row, (k, kk)) in rotation.iter_mut().zip(k.iter().zip(&squared)) {
                for (value, (k, kk)) in row.iter_mut().zip(k.iter().zip(kk)) {
                    *value += angle.sin() * k + (1.0 - angle.cos()) * kk;
                }
            }
        }
        let turned = times(&rotation, centre);
        Self { rotation, shift: std::array::from_fn(|i| centre[i] - turned[i] + shift[i]) }
    }

    /// Where a position goes.
    pub fn apply(&self, position: [f64; 3]) -> [f64; 3] {
        let turned = times(&self.rotation, position);
        std::array::from_fn(|i| turned[i] + self.shift[i])
    }

    /// First `first`, then this.
    #[must_use]
    pub fn after(&self, first: &Self) -> Self {
        Self { rotation: product(&self.rotation, &first.rotation), shift: self.apply(first.shift) }
    }

    /// The map back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let r = &self.rotation;
        let rotation = std::array::from_fn(|i| std::array::from_fn(|j| r[j][i]));
        Self { rotation, shift: times(&rotation, self.shift).map(|t| -t) }
    }
}

fn product(a: &[[f64; 3]; 3], b: &[[f64; 3]; 3]) -> [[f64; 3]; 3] {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
}

fn times(m: &[[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
    m.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: [f64; 6], b: [f64; 6]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12)
    }

    #[test]
    fn six_numbers_come_back_and_a_map_undoes_its_inverse() {
        let p = [1.0, -2.0, 3.5, 0.1, -0.2, 0.3];
        let moved = Rigid::from_parameters(p);
        assert!(near(moved.parameters(), p));
        assert!(near(moved.after(&moved.inverse()).parameters(), [0.0; 6]));
        // spm_matrix([1 -2 3.5 .1 -.2 .3]), first row.
        let expected = [0.936293363584199, 0.289629477625516, -0.198669330795061];
        assert!(moved.rotation[0].iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{:?}", moved.rotation[0]);
    }

    #[test]
    fn a_turn_leaves_its_centre_where_it_is() {
        let turn = Rigid::about([10.0, 20.0, 30.0], [0.0; 3], [0.01, -0.02, 0.005]);
        let there = turn.apply([10.0, 20.0, 30.0]);
        assert!(there.iter().zip([10.0, 20.0, 30.0]).all(|(a, b)| (a - b).abs() < 1e-12));
        assert!(near(turn.after(&turn.inverse()).parameters(), [0.0; 6]));
    }
}
