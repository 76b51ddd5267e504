//! Amounts in the notation of Kubernetes, such as `250m` or `2Gi`, by their size.

/// The larger of the two; the second if the first is none.
#[must_use]
pub fn larger(one: String, other: String) -> String {
    match (size(&one), size(&other)) {
        (Some(first), Some(second)) if first > second => one,
        _ => other,
    }
}

fn size(amount: &str) -> Option<f64> {
    let number = amount.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &amount[number.len()..] {
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_compared_by_size_and_not_by_their_text() {
        for (one, other, larger_one) in [
            ("2", "500m", "2"),
            ("50m", "500m", "500m"),
            ("1.5", "1", "1.5"),
            ("64Mi", "256Mi", "256Mi"),
            ("1G", "1Gi", "1Gi"),
            ("", "256Mi", "256Mi"),
            ("nonsense", "1", "1"),
        ] {
            assert_eq!(larger(one.to_owned(), other.to_owned()), larger_one, "{one} {other}");
        }
    }
}
