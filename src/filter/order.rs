//! Who goes first: the `order` rules of a root, read with the globs of the filter.
//!
//! A rule matches what its glob names and everything beneath, as a line of the filter does; a last `/` asks for a folder.
//! The first rule that matches decides; what none matches goes as the whole root does. Nothing here can die half-way.

use super::line::{Line, Saying, folder_of};
use super::{FileOrDir, Sign};
use crate::error::Result;
use crate::model::{OrderRule, Priority, TreePath};
use std::fmt;

/// The rules of one root, ready to be asked.
#[derive(Debug)]
pub struct Order {
    rules: Vec<(Priority, Line)>,
    otherwise: Priority,
}

/// What decided when a path goes.
#[derive(Clone, Copy, Debug)]
pub enum OrderReason<'o> {
    Rule(&'o Line),
    Root,
}

impl Order {
    /// `list` names the rules in errors.
    ///
    /// # Errors
    /// Operator: a glob that the filter could not read either.
    pub fn new(list: &str, rules: &[OrderRule], otherwise: Priority) -> Result<Self> {
        let rule = |(at, rule): (usize, &OrderRule)| {
            let text = format!("{} {}", rule.priority, rule.glob);
            Line::of_glob(list, at + 1, &text, &rule.glob).map(|line| (rule.priority, line))
        };
        Ok(Self { rules: rules.iter().enumerate().map(rule).collect::<Result<_>>()?, otherwise })
    }

    /// Where there are no rules, every path goes so.
    pub fn of_all(&self) -> Option<Priority> {
        self.rules.is_empty().then_some(self.otherwise)
    }

    pub fn of(&self, path: &TreePath, what: FileOrDir) -> Priority {
        self.explain(path, what).0
    }

    pub fn explain(&self, path: &TreePath, what: FileOrDir) -> (Priority, OrderReason<'_>) {
        let bytes = path.as_bytes();
        let named = self.rules.iter().find(|(_, line)| {
            debug_assert_eq!(line.sign(), Sign::Plus);
            line.says(bytes, what, || line.above(folder_of(bytes))) == Saying::Match
        });
        named.map_or((self.otherwise, OrderReason::Root), |(priority, line)| (*priority, OrderReason::Rule(line)))
    }
}

/// All that decides, in one line.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.otherwise)?;
        self.rules.iter().try_for_each(|(_, line)| write!(f, ", {}", line.text()))
    }
}

/// For people, as `explain` shows it.
impl fmt::Display for OrderReason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(line) => write!(f, "order, line {}: {}", line.number(), line.text()),
            Self::Root => f.write_str("as the whole root does"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn rules(lines: &[(Priority, &str)]) -> Vec<OrderRule> {
        lines.iter().map(|(priority, glob)| OrderRule { priority: *priority, glob: (*glob).to_owned() }).collect()
    }

    fn path(text: &str) -> TreePath {
        TreePath::from_bytes(text).unwrap()
    }

    #[test]
    fn the_first_rule_that_matches_decides_and_what_none_matches_goes_as_the_root() {
        use Priority::{First, Last, Normal};
        let list = rules(&[(First, "**/*.doc*"), (Last, "ignorecase:**.iso"), (First, "/r/taxes"), (Last, "/r/**")]);
        let order = Order::new("order of /r", &list, Normal).unwrap();
        let of = |p: &str| order.of(&path(p), FileOrDir::File);
        assert_eq!((of("/r/a/b.docx"), of("/r/x.ISO"), of("/r/taxes/2024/x.iso")), (First, Last, Last));
        assert_eq!((of("/r/taxes/2024/scan.pdf"), of("/r/taxes"), of("/r/other")), (First, First, Last));
        assert_eq!(of("/elsewhere"), Normal);
        let (_, why) = order.explain(&path("/r/a/b.docx"), FileOrDir::File);
        assert_eq!(why.to_string(), "order, line 1: first **/*.doc*");
    }

    #[test]
    fn a_last_slash_asks_for_a_folder_and_takes_all_beneath_it() {
        let order = Order::new("order", &rules(&[(Priority::First, "**/photos/")]), Priority::Last).unwrap();
        assert_eq!(order.of(&path("/r/photos"), FileOrDir::Dir), Priority::First);
        assert_eq!(order.of(&path("/r/photos"), FileOrDir::File), Priority::Last);
        assert_eq!(order.of(&path("/r/photos/a/b.jpg"), FileOrDir::File), Priority::First);
    }

    #[test]
    fn a_glob_that_can_match_no_path_is_the_operators() {
        let refused = Order::new("order of /r", &rules(&[(Priority::First, "docs/*")]), Priority::Normal).unwrap_err();
        assert_eq!(refused.kind(), Kind::Operator);
        assert!(refused.to_string().contains("order of /r"), "{refused}");
    }
}
