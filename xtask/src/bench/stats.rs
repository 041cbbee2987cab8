//! Medians and slopes.

/// The middle of the values; the mean of the two middle ones of an even number. None of nothing.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(sorted.len() / 2 - 1)?;
    Some(f64::midpoint(lower, upper))
}

/// How far the values are from their median, in the median: an outlier does not show, noise does.
pub(super) fn spread(values: &[f64]) -> Option<f64> {
    let middle = median(values)?;
    let distances: Vec<_> = values.iter().map(|value| (value - middle).abs()).collect();
    median(&distances)
}

/// The slope of the straight line through (x, y) by least squares. None when all x are the same.
pub(super) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let n = u32::try_from(points.len()).ok().filter(|n| *n > 1).map(f64::from)?;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / n;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / n;
    let along = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>();
    let square = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>();
    (square > 0.0).then(|| along / square)
}

#[cfg(test)]
mod tests {
    use super::{median, slope, spread};

    #[test]
    fn medians_do_not_mind_outliers() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[100.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(spread(&[1.0, 2.0, 3.0, 4.0, 100.0]), Some(1.0));
    }

    #[test]
    fn slopes_are_by_least_squares() {
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]), Some(2.0));
        // A textbook's: y = 1.5 x for (1,1), (2,4), (3,4).
        assert_eq!(slope(&[(1.0, 1.0), (2.0, 4.0), (3.0, 4.0)]), Some(1.5));
        assert_eq!(slope(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(slope(&[(1.0, 1.0)]), None);
    }
}
