//! The whole program on a slow line: what is said to go first is safe while what goes last is still on its way, and
//! `explain` says why.

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;

use machine::{Machine, noise};
use serde_json::Value;
use std::fs;

fn root<'a>(status: &'a Value, name: &str) -> &'a Value {
    let is = |r: &&Value| r["path"].as_str().is_some_and(|p| p.ends_with(name));
    status["roots"].as_array().unwrap().iter().find(is).unwrap()
}

#[test]
fn papers_written_while_a_film_is_on_its_way_are_safe_before_it() {
    let machine = Machine::bare();
    let (films, papers) = (machine.path("films"), machine.path("papers"));
    for folder in [&films, &papers] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(films.join("film.mkv"), noise(1, 72 << 20)).unwrap();
    let text = format!(
        "[[root]]\npath = \"{}\"\nquiet = \"0s\"\norder = [\"last **.mkv\"]\n\
         [[root]]\npath = \"{}\"\nquiet = \"0s\"\npriority = \"first\"\n\
         [[vault]]\nname = \"main\"\nurl = \"file://{}\"\npack_size = \"4 MiB\"\n[uplink]\nlimit = \"400 kB/s\"\n\
         [state]\ndir = \"{}\"\nspool_size = \"48 MiB\"\n[publish]\nevery = \"1m\"\n[http]\nlisten = \"off\"\n",
        films.display(),
        papers.display(),
        machine.vault().display(),
        machine.state().display()
    );
    fs::write(machine.config(), text).unwrap();
    machine.init();
    let mut daemon = machine.daemon();
    daemon.until("the film to be on its way", |s| {
        s["vaults"][0]["spool_bytes"].as_u64() > Some(12 << 20) && root(s, "films")["safe_files"] == 0
    });
    fs::write(papers.join("letter"), b"My dear,").unwrap();
    let status = daemon.until("the letter to be safe", |s| root(s, "papers")["safe_files"] == 1);
    assert_eq!(root(&status, "films")["safe_files"], 0, "{status:#}");
    machine
        .run(&["explain", films.join("film.mkv").to_str().unwrap()])
        .exits(0)
        .says("goes last (order, line 1: last **.mkv)");
    machine
        .run(&["explain", papers.join("letter").to_str().unwrap()])
        .exits(0)
        .says("goes first (as the whole root does)");
    machine.run(&["limit", "none"]).exits(0);
    daemon.until("the film to be safe", |s| root(s, "films")["safe_files"] == 1);
    daemon.stop().exits(0);
}
