//! "Did you mean": the known word that is nearest to what was written.

/// The word of `known` that `written` most likely stands for, if any is near.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_ascii_lowercase();
    let allowed = (written.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|word| (distance(&written, &word.to_ascii_lowercase()), word))
        .min()
        .filter(|(distance, _)| *distance <= allowed)
        .map(|(_, word)| word)
}

/// How many letters have to be added, left out or replaced to turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut above_left = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let replaced = above_left + usize::from(letter != *other);
            above_left = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(above_left + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood_and_another_word_is_not() {
        let known = ["listen", "admin", "log-max-bytes"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("Admin", known), Some("admin"));
        assert_eq!(nearest("log-max-byte", known), Some("log-max-bytes"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", known), None);
    }
}
