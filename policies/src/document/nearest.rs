//! "Did you mean": the known word nearest to a mistyped one.

/// The candidate nearest to `word`, if one is near enough to be meant: at most a third of its letters differ, and never
/// more than three. Letter case and the choice between `-` and `_` cost nothing.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // Nobody mistypes a word this long by a few letters; and the cost below is quadratic.
    if word.len() > 128 {
        return None;
    }
    let folded = fold(word);
    let bound = (folded.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&folded, &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> Vec<char> {
    word.chars().map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// Edit distance in which swapping two neighbours counts once (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_word_with_two_letters_swapped() {
        assert_eq!(nearest("ancohrs", ["identity", "anchors", "crls"]), Some("anchors"));
    }

    #[test]
    fn takes_underscore_for_hyphen_and_either_case() {
        assert_eq!(nearest("CLIENT_AUTH", ["client-auth", "certificate"]), Some("client-auth"));
    }

    #[test]
    fn names_nothing_when_nothing_is_near() {
        assert_eq!(nearest("colour", ["identity", "anchors", "crls"]), None);
        assert_eq!(nearest("", ["a"]), Some("a"));
        assert_eq!(nearest(&"x".repeat(1000), ["x"]), None);
    }

    #[test]
    fn prefers_the_nearer_of_two() {
        assert_eq!(nearest("modem", ["moden", "modern"]), Some("moden"));
    }
}
