//! The documents name things that are there: every test of `docs/promises.md`, every page a page links to.
//! A plain scan of the text, so that a test renamed or a page moved is noticed where it is spoken of.

use std::fs;
use std::path::{Path, PathBuf};

fn house() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What stands between back ticks, in order.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The promises as the page has them: number, and the section's text.
fn promises(page: &str) -> Vec<(u32, &str)> {
    page.split("\n## ")
        .skip(1)
        .map(|section| {
            let number = section.split('.').next().and_then(|n| n.parse().ok());
            (number.unwrap_or_else(|| panic!("a section without a number: {section}")), section)
        })
        .collect()
}

/// File and name of every test in the paragraphs that begin with "Tests:".
fn tests_of(section: &str) -> Vec<(&str, &str)> {
    let (mut file, mut found) = ("", vec![]);
    for paragraph in section.split("\n\n").filter(|p| p.starts_with("Tests:")) {
        for word in quoted(paragraph) {
            if word.contains('/') { file = word } else { found.push((file, word)) }
        }
    }
    found
}

#[test]
fn all_sixteen_promises_are_there_in_order_and_each_has_tests_that_exist() {
    let page = text(&house().join("docs/promises.md"));
    let promises = promises(&page);
    assert_eq!(promises.iter().map(|p| p.0).collect::<Vec<_>>(), (1..=16).collect::<Vec<_>>());
    for (number, section) in promises {
        assert!(section.contains("\n\nKept in: "), "promise {number} does not say where it is kept");
        let tests = tests_of(section);
        assert!(!tests.is_empty(), "promise {number} names no test");
        for (file, test) in tests {
            let code = text(&house().join(file));
            let heads = [format!("fn {test}("), format!("fn {test}<")];
            assert!(heads.iter().any(|h| code.contains(h)), "promise {number}: {file} has no test {test}");
        }
    }
}

#[test]
fn every_page_of_the_documents_links_to_pages_that_exist() {
    let mut pages = vec![house().join("README.md"), house().join("CONTRIBUTING.md"), house().join("CHANGELOG.md")];
    pages.extend(markdown_beneath(&house().join("docs")));
    for page in pages {
        let folder = page.parent().expect("a page lies in a folder");
        let text = text(&page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(folder.join(target).exists(), "{} links to {link}, which is not there", page.display());
        }
    }
}

#[test]
fn every_decision_is_in_the_list_of_decisions() {
    let folder = house().join("docs/decisions");
    let list = text(&folder.join("README.md"));
    for page in markdown_beneath(&folder) {
        let name = page.file_name().and_then(|n| n.to_str()).expect("a plain name");
        assert!(name == "README.md" || list.contains(&format!("({name})")), "{name} is not in the list");
    }
}

fn markdown_beneath(folder: &Path) -> Vec<PathBuf> {
    let mut out = vec![];
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            out.extend(markdown_beneath(&path));
        } else if path.extension().is_some_and(|e| e == "md") {
            out.push(path);
        }
    }
    out
}
