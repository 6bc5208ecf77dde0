//! Each rule of the list as a promise. That the whole is duplicity's own is proved in `tests/filter_duplicity.rs`.

use proptest::prelude::*;

use super::*;
use crate::error::Kind;

fn path(text: &str) -> TreePath {
    TreePath::from_bytes(text).unwrap()
}

fn filter_at(root: &str, list: &str) -> Filter {
    Filter::parse("list", list.as_bytes(), &path(root), DefaultExcludes::On).unwrap()
}

/// What a walk from `/r` finds of a path; one that ends in `/` is a folder.
#[track_caller]
fn check(list: &str, include: &[&str], exclude: &[&str], descend: &[&str]) {
    let filter = filter_at("/r", list);
    let expected = [(Verdict::Include, include), (Verdict::Exclude, exclude), (Verdict::Descend, descend)];
    for (verdict, paths) in expected {
        for typed in paths {
            let (bare, what) = match typed.strip_suffix('/') {
                Some(bare) => (bare, FileOrDir::Dir),
                None => (*typed, FileOrDir::File),
            };
            assert_eq!(filter.explain(&path(bare), what).verdict, verdict, "{typed} under\n{list}");
        }
    }
}

#[test]
fn the_first_line_that_matches_decides_and_what_none_matches_is_included() {
    check("+ /r/a/keep\n- /r/a", &["/r/a/keep", "/r/a/keep/x", "/r/b"], &["/r/a/other", "/r/a"], &["/r/a/"]);
    check("- /r/a\n+ /r/a/keep\n- **", &[], &["/r/a/", "/r/a/keep", "/r/b"], &[]);
    check("", &["/r/a", "/r/a/b"], &[], &[]);
}

#[test]
fn a_line_without_sign_includes_and_blank_lines_and_comments_say_nothing() {
    check("/r/a\n\n  # - /r/a\n - ** \n", &["/r/a", "/r/a/b"], &["/r/b"], &[]);
}

#[test]
fn one_pair_of_quotes_goes_and_keeps_outer_blanks() {
    check("- '/r/a '\n- \"/r/b\"", &["/r/a"], &["/r/a ", "/r/b"], &[]);
    check("- \"\n- ''", &["/r/a", "/r/\""], &[], &[]);
}

#[test]
fn a_line_matches_all_beneath_what_it_names() {
    check("- /r/a*", &["/r/b/a"], &["/r/a/", "/r/ab/c/d"], &[]);
    check("- **/x", &["/r/xx"], &["/r/x", "/r/a/x", "/r/a/x/y"], &[]);
}

#[test]
fn a_last_slash_asks_for_a_folder() {
    check("- /r/a/\n- **/c/", &["/r/a", "/r/c", "/r/d/c"], &["/r/a/", "/r/a/b", "/r/c/x", "/r/d/c/"], &[]);
}

#[test]
fn a_lone_slash_is_everything() {
    check("- /", &[], &["/r/a", "/r/b/"], &[]);
}

#[test]
fn a_folder_on_the_way_to_what_may_be_included_is_walked_but_not_chosen() {
    check("+ /r/a/b/c\n- **", &["/r/a/b/c/d"], &["/r/x/", "/r/a", "/r/a/x"], &["/r/a/", "/r/a/b/"]);
    check("+ **.jpg\n- **", &["/r/x/y.jpg"], &["/r/y.txt"], &["/r/x/", "/r/x/y/"]);
    check("+ /r/*/b\n- **", &["/r/q/b"], &["/r/q/c/"], &["/r/q/"]);
}

/// duplicity's, and surprising: see the head of `filter.rs`.
#[test]
fn a_file_on_such_a_way_is_not_chosen_even_where_no_line_excludes() {
    check("+ **.jpg", &["/r/a.jpg"], &["/r/a.txt"], &["/r/d/"]);
}

#[test]
fn ignorecase_ignores_it() {
    check("- ignorecase:/R/**/*.TMP\n- IGNORECASE:**/É", &["/r/a.tmp~"], &["/r/x/a.tMp", "/r/é", "/r/x/É"], &[]);
    check("- **/*.TMP", &["/r/x/a.tmp"], &["/r/x/a.TMP"], &[]);
    check("- ignorecase:/r/[a-c]?[!x-z]", &["/r/BaX", "/r/Dab"], &["/r/BaA", "/r/cab"], &[]);
}

#[test]
fn a_line_that_cannot_match_this_root_is_put_aside_and_named() {
    let filter = filter_at("/r", "+ /elsewhere/x\n- /r/a\n+ /ra");
    assert_eq!(filter.aside().iter().map(Line::number).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(filter.decide(&path("/r/b"), FileOrDir::File).verdict, Verdict::Include);
    assert!(filter_at("/", "- /x\n- **/y\n+ /z/").aside().is_empty());
    assert!(filter_at("/r/s/t", "- /r\n+ /r/s/\n- /*/s").aside().is_empty());
}

#[test]
fn a_line_no_root_could_match_is_an_error_that_says_where_and_what_to_do() {
    for (list, number) in
        [("\n- *.tmp", 2), ("-/r/a", 1), ("#\n#\n+ r/a", 3), ("- /r//a", 1), ("- /r/[z-a]", 1), ("- ignorecase:", 1)]
    {
        let error = Filter::parse("exclude.txt", list.as_bytes(), &path("/r"), DefaultExcludes::On).unwrap_err();
        assert_eq!(error.kind(), Kind::Operator);
        assert!(error.to_string().contains(&format!("filter exclude.txt, line {number}, `")), "{error}");
        assert!(error.remedy_text().is_some());
    }
}

#[test]
fn lines_end_as_on_any_system_and_are_counted_so() {
    let filter = filter_at("/r", "\u{feff}- /r/a\r\n\r\n- /r/b\r- /r/c\n");
    for (name, number) in [("a", 1), ("b", 3), ("c", 4)] {
        let decision = filter.decide(&path("/r").join(name.as_bytes()).unwrap(), FileOrDir::File);
        assert!(matches!(decision.rule, Rule::Line { line, .. } if line.number() == number), "{}", decision.rule);
    }
}

#[test]
fn names_need_not_be_utf_8_neither_in_the_list_nor_on_disk() {
    let filter = Filter::parse("list", b"- /r/\xff?", &path("/r"), DefaultExcludes::On).unwrap();
    let verdict = |name: &[u8]| filter.decide(&path("/r").join(name).unwrap(), FileOrDir::File).verdict;
    assert_eq!(verdict(b"\xff\xfe"), Verdict::Exclude);
    assert_eq!(verdict(b"\xff"), Verdict::Include);
}

#[test]
fn the_root_itself_is_always_chosen() {
    let filter = filter_at("/r/@eaDir", "- **");
    assert_eq!(filter.decide(&path("/r/@eaDir"), FileOrDir::Dir).verdict, Verdict::Include);
}

#[test]
fn shipped_excludes_hold_at_any_depth_for_folders_and_their_contents_only() {
    let bin = "/r/a/.Trash-1000/";
    check("", &["/r/x/lost+found", "/r/@eaDirs/"], &["/r/@eaDir/", "/r/x/#recycle/", "/r/x/#recycle/y/z", bin], &[]);
    let off = Filter::parse("list", b"", &path("/r"), DefaultExcludes::Off).unwrap();
    assert_eq!(off.decide(&path("/r/@eaDir"), FileOrDir::Dir).verdict, Verdict::Include);
}

#[test]
fn names_of_the_root_itself_are_not_shipped_excludes() {
    let filter = filter_at("/v/.snapshots/1", "");
    assert_eq!(filter.explain(&path("/v/.snapshots/1/a"), FileOrDir::Dir).verdict, Verdict::Include);
    assert_eq!(filter.explain(&path("/v/.snapshots/1/.snapshots"), FileOrDir::Dir).verdict, Verdict::Exclude);
}

#[test]
fn a_line_of_the_user_comes_before_the_shipped_excludes() {
    check("+ /r/#recycle/keep", &["/r/#recycle/keep"], &["/r/#recycle/x", "/r/y/#recycle/"], &["/r/#recycle/"]);
    check("+ **/@eaDir", &["/r/a/@eaDir/", "/r/a/@eaDir/x"], &["/r/#recycle/x"], &[]);
}

#[test]
fn explain_names_what_decided() {
    let filter = filter_at("/r", "# mine\n- **/.cache/**\n+ /r/a");
    let explain = |typed: &str, what| filter.explain(&path(typed), what).rule.to_string();
    assert_eq!(explain("/r/.cache/x/y", FileOrDir::File), "list, line 2: - **/.cache/**");
    assert_eq!(explain("/r/a/b", FileOrDir::File), "list, line 3: + /r/a");
    assert_eq!(explain("/r/b", FileOrDir::File), "included: no line names it");
    assert!(explain("/r/b/.zfs/snapshot", FileOrDir::Dir).starts_with("left out by default: .zfs ("));
}

#[test]
fn the_recipes_list_works_unchanged() {
    let list = include_str!("../../tests/data/recipe-exclude.txt");
    let filter = filter_at("/Users/gorootde", list);
    assert!(filter.aside().is_empty());
    let verdict = |typed: &str, what| filter.explain(&path(&format!("/Users/gorootde/{typed}")), what).verdict;
    for (typed, what, expected) in [
        ("docs/letter", FileOrDir::File, Verdict::Include),
        ("docs/.DS_Store", FileOrDir::File, Verdict::Exclude),
        ("Downloads", FileOrDir::Dir, Verdict::Include),
        ("Downloads/x", FileOrDir::File, Verdict::Exclude),
        ("Library/Caches", FileOrDir::Dir, Verdict::Include),
        ("Library/Caches/x/y", FileOrDir::File, Verdict::Exclude),
        (".m2/repository", FileOrDir::Dir, Verdict::Exclude),
    ] {
        assert_eq!(verdict(typed, what), expected, "{typed}");
    }
    let all = filter_at("/Users", list);
    assert_eq!(all.explain(&path("/Users/other/x"), FileOrDir::File).verdict, Verdict::Exclude);
    assert_eq!(filter_at("/data", list).explain(&path("/data/x"), FileOrDir::Dir).verdict, Verdict::Exclude);
}

proptest! {
    #[test]
    fn asked_through_its_folder_a_path_gets_the_same_answer(
        lines in prop::collection::vec("[+-] (/r/|\\*\\*|/|\\*\\*/)[ab*?/]{0,6}(\\[!?a\\]|/|\\*\\*)?", 0..5),
        folder in "/r(/[abé@]{1,3}){0,3}",
        name in "[abé@]{1,4}\n?",
        what in prop::sample::select(vec![FileOrDir::File, FileOrDir::Dir]),
    ) {
        let list = lines.into_iter().filter(|l| !l.contains("//")).collect::<Vec<_>>().join("\n");
        let Ok(filter) = Filter::parse("list", list.as_bytes(), &path("/r"), DefaultExcludes::On) else { return Ok(()) };
        let folder = path(&folder);
        let alone = filter.decide(&folder.join(name.as_bytes()).unwrap(), what);
        let within = filter.folder(&folder).decide(name.as_bytes(), what);
        prop_assert_eq!(alone.verdict, within.verdict);
        prop_assert_eq!(alone.rule.to_string(), within.rule.to_string());
    }

    #[test]
    fn no_list_and_no_path_ever_panics(
        list in prop::collection::vec(any::<u8>(), 0..60),
        special in "[+-] (ignorecase:)?[/*?!\\[\\]^a-c\\\\'\"-]{0,20}",
        name in prop::collection::vec(1u8.., 1..20),
    ) {
        for text in [list, special.into_bytes()] {
            if let Ok(filter) = Filter::parse("list", &text, &path("/r"), DefaultExcludes::On)
                && let Some(path) = path("/r").join(&name)
            {
                filter.explain(&path, FileOrDir::File);
                filter.folder(&path).decide(b"a", FileOrDir::Dir);
            }
        }
    }
}
