//! "Did you mean": the known word that is nearest to what was written.

/// The candidate nearest to `written`, if one is near enough to be meant.
///
/// Near enough is one edit in three characters, at most three; a swap of neighbours is one edit,
/// and case does not count. The first of equals wins, so the answer never depends on chance.
pub fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = lower(written);
    if written.len() > 128 {
        return None;
    }
    let allowed = (written.len().div_ceil(3)).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&written, &lower(candidate)), candidate))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Whether `written` is `meant` but for one edit.
pub fn is_slip(written: &str, meant: &str) -> bool {
    distance(&lower(written), &lower(meant)) <= 1
}

/// `did you mean "X"?`, or `otherwise` when nothing is near.
pub(crate) fn did_you_mean<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    nearest(written, candidates).map_or_else(otherwise, |candidate| {
        format!("did you mean \"{candidate}\"?")
    })
}

/// `"a", "b" or "c"`, for hints that list what is allowed.
pub(crate) fn one_of<'a>(allowed: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = allowed
        .into_iter()
        .map(|word| format!("\"{word}\""))
        .collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn lower(word: &str) -> Vec<char> {
    word.chars().flat_map(char::to_lowercase).collect()
}

/// Edits (insert, delete, replace, swap of neighbours) between two words.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &to) in b.iter().enumerate() {
            let replace = above[j] + usize::from(from != to);
            let mut best = replace.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_word_that_was_meant() {
        let fields = ["subscriber", "broker", "filters", "delivery"];
        for (written, meant) in [
            ("subscribr", "subscriber"),
            ("Broker", "broker"),
            ("brokre", "broker"),
            ("filter", "filters"),
            ("delivry", "delivery"),
        ] {
            assert_eq!(nearest(written, fields), Some(meant), "{written}");
        }
    }

    #[test]
    fn a_word_that_is_far_from_all_finds_none() {
        assert_eq!(nearest("colour", ["subscriber", "broker"]), None);
        assert_eq!(nearest("x", ["retry"]), None);
    }

    #[test]
    fn a_list_of_allowed_words_reads_as_a_sentence() {
        assert_eq!(one_of(["a"]), "\"a\"");
        assert_eq!(one_of(["a", "b", "c"]), "\"a\", \"b\" or \"c\"");
    }
}
