//! Where does a voxel lie, and which voxel lies there? Affine maps, as the first three rows of their matrices.

/// Takes a point to `matrix` · (point, 1).
pub fn apply(matrix: &[[f64; 4]; 3], [x, y, z]: [f64; 3]) -> [f64; 3] {
    matrix.map(|[a, b, c, shift]| a * x + b * y + c * z + shift)
}

/// What takes everything back; `None` where the map squeezes space flat.
pub fn inverse(matrix: &[[f64; 4]; 3]) -> Option<[[f64; 4]; 3]> {
    let [a, b, c] = *matrix;
    let cross = |p: usize, q: usize, r: [f64; 4], s: [f64; 4]| r[p] * s[q] - r[q] * s[p];
    let determinant = a[0] * cross(1, 2, b, c) - a[1] * cross(0, 2, b, c) + a[2] * cross(0, 1, b, c);
    let size: f64 = lengths(matrix).iter().product();
    if !(determinant.is_finite() && determinant.abs() > 1e-6 * size) {
        return None;
    }
    let row =
        |p, q, sign: f64| [cross(p, q, b, c), -cross(p, q, a, c), cross(p, q, a, b)].map(|m| sign * m / determinant);
    let shifted = |r: [f64; 3]| [r[0], r[1], r[2], -(r[0] * a[3] + r[1] * b[3] + r[2] * c[3])];
    Some([row(1, 2, 1.0), row(0, 2, -1.0), row(0, 1, 1.0)].map(shifted))
}

/// How long a step of one becomes along each axis.
pub fn lengths(matrix: &[[f64; 4]; 3]) -> [f64; 3] {
    std::array::from_fn(|axis| matrix.iter().map(|row| row[axis] * row[axis]).sum::<f64>().sqrt())
}

/// First `inner`, then `outer`.
pub fn after(outer: &[[f64; 4]; 3], inner: &[[f64; 4]; 3]) -> [[f64; 4]; 3] {
    let column = |axis: usize| [inner[0][axis], inner[1][axis], inner[2][axis]];
    let shift = apply(outer, column(3));
    let linear = outer.map(|row| [row[0], row[1], row[2], 0.0]);
    let columns = [0, 1, 2].map(|axis| apply(&linear, column(axis)));
    std::array::from_fn(|i| [columns[0][i], columns[1][i], columns[2][i], shift[i]])
}
