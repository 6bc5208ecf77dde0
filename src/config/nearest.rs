//! Which known word was meant by a misspelt one.

/// The known word with the fewest slips from `word`; None where nothing is near enough to be meant (more
/// slips than half its letters).
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (slips(&word, &candidate.to_lowercase()), candidate))
        .filter(|(slips, candidate)| slips * 2 <= candidate.chars().count().max(2))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// Letters left out, added, mistaken, or two neighbours swapped (optimal string alignment).
fn slips(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let mistaken = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = mistaken.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_slip_of_the_hand_finds_the_word_that_was_meant() {
        let known = ["path", "priority", "quiet", "quiet_max", "filter", "filter_file"];
        for (typed, meant) in
            [("paht", "path"), ("Path", "path"), ("quite", "quiet"), ("quietmax", "quiet_max"), ("filters", "filter")]
        {
            assert_eq!(nearest(typed, known), Some(meant), "{typed}");
        }
        assert_eq!(nearest("bandwidth", known), None);
        assert_eq!(nearest("", known), None);
    }

    proptest! {
        #[test]
        fn slips_are_none_only_between_equal_words_and_the_same_both_ways(a in "[a-d]{0,6}", b in "[a-d]{0,6}") {
            prop_assert_eq!(slips(&a, &b) == 0, a == b);
            prop_assert_eq!(slips(&a, &b), slips(&b, &a));
            prop_assert!(slips(&a, &b) <= a.len().max(b.len()));
        }
    }
}
