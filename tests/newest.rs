//! Several vaults need not hold the same. What a restore brings back is the newest there is, whatever is cheaper to read,
//! and where no vault has all of it, that is said (promise 3: nothing is called whole that is not).

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;
#[path = "support/portable.rs"]
mod portable;
#[path = "support/tree.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod tree;

use machine::{Machine, Ran};
use portable::assert_same;
use std::fs;
use std::path::PathBuf;

/// With a disk, `usb`, before the vault `main`: of two that cost the same the first is taken. `more`: settings of the disk.
fn add_disk(machine: &Machine, more: &str) {
    fs::create_dir(machine.path("usb")).unwrap();
    let config = fs::read_to_string(machine.config()).unwrap();
    let url = format!("url = \"file://{}\"", machine.path("usb").display());
    let usb = format!("[[vault]]\nname = \"usb\"\n{url}\n{more}\n[[vault]]");
    fs::write(machine.config(), config.replacen("[[vault]]", &usb, 1)).unwrap();
    machine.run(&["init", "--words-file", "words-usb"]).exits(0);
}

/// With the words of the vault it is to come from.
fn restored(machine: &Machine, from: &str, out: &str, more: &[&str]) -> Ran {
    let words = if from == "usb" { "words-usb" } else { "words" };
    machine.run(&[&["restore", "--key-file", words, "--to", out], more].concat()).exits(0)
}

fn back(machine: &Machine, out: &str) -> PathBuf {
    machine.path(out).join(machine.data().strip_prefix("/").unwrap())
}

/// While the disk lies in a drawer, `change` is backed up.
fn in_a_drawer(machine: &Machine, change: impl FnOnce()) {
    fs::rename(machine.path("usb"), machine.path("drawer")).unwrap();
    change();
    let ran = machine.backup();
    assert_ne!(ran.code, 0, "a vault that is not there is no success: {ran:#?}");
    fs::rename(machine.path("drawer"), machine.path("usb")).unwrap();
}

#[test]
fn a_disk_that_lay_in_a_drawer_is_not_taken_for_the_newest() {
    let machine = Machine::new();
    add_disk(&machine, "");
    machine.backup().exits(0);
    restored(&machine, "usb", "same", &[]).says("from the vault 'usb'").says_not("newest state");
    let data = machine.data();
    in_a_drawer(&machine, || {
        fs::write(data.join("sub/file1"), "newer").unwrap();
        fs::write(data.join("sub/new"), "new").unwrap();
        fs::remove_file(data.join("sub/deep/file2")).unwrap();
        fs::remove_dir_all(data.join("sub/deep")).unwrap();
    });
    let ran = restored(&machine, "main", "out", &[]).says("from the vault 'main'").says_not("NOT ALL");
    assert_same(&back(&machine, "out"), &data);
    // file1, new, and the three files that were in deep.
    assert!(ran.err.contains("'usb' has not the newest state of 5 things"), "{ran:#?}");
    let first = data.join("sub/deep/file2");
    assert!(ran.err.contains(&format!("({} the first)", first.display())), "{ran:#?}");
    // What it has as new as any is still taken from it.
    let file = data.join("file3");
    restored(&machine, "usb", "one", &[file.to_str().unwrap()]).says("from the vault 'usb'").says_not("newest state");
    // And whoever names it gets it.
    restored(&machine, "usb", "old", &["--vault", "usb"]);
    assert!(back(&machine, "old").join("sub/deep/file2").exists());
    // Once it has caught up it is as good as before.
    machine.backup().exits(0);
    restored(&machine, "usb", "again", &[]).says("from the vault 'usb'").says_not("newest state");
    assert_same(&back(&machine, "again"), &data);
    // A plan says the same.
    restored(&machine, "usb", "plan", &["--plan"]).says("from the vault 'usb'");
}

#[test]
fn a_vault_of_some_roots_is_not_taken_for_one_of_all() {
    let machine = Machine::new();
    let photos = machine.path("photos");
    fs::create_dir(&photos).unwrap();
    fs::write(photos.join("cat"), "meow").unwrap();
    let root = format!("[[root]]\npath = \"{}\"\nquiet = \"0s\"\n\n[[vault]]", photos.display());
    let config = fs::read_to_string(machine.config()).unwrap();
    fs::write(machine.config(), config.replacen("[[vault]]", &root, 1)).unwrap();
    add_disk(&machine, &format!("roots = [\"{}\"]\n", photos.display()));
    machine.backup().exits(0);
    restored(&machine, "main", "out", &[])
        .says("from the vault 'main'")
        .says("'usb' has not the newest state of 10 things");
    assert_same(&back(&machine, "out"), &machine.data());
    restored(&machine, "usb", "cat", &[photos.to_str().unwrap()]).says("from the vault 'usb'").says_not("newest state");
    let looked = machine.run(&["ls", photos.to_str().unwrap()]).exits(0);
    assert!(looked.err.contains("in the vault 'usb'") && looked.out.contains("cat"), "{looked:#?}");

    // Each has what the other lacks: the one that lacks less, and what is missing is said before and after.
    let text = fs::read_to_string(machine.config()).unwrap();
    let main = text.replace("name = \"main\"", &format!("name = \"main\"\nroots = [\"{}\"]", machine.data().display()));
    fs::write(machine.config(), main).unwrap();
    fs::write(photos.join("dog"), "woof").unwrap();
    machine.backup().exits(0);
    let ran = restored(&machine, "main", "most", &[]).says("from the vault 'main'");
    let not_all = "NOT ALL: the vault 'main' has not the newest state of 1 thing (";
    assert_eq!(ran.err.matches(not_all).count(), 2, "{ran:#?}");
    assert_same(&back(&machine, "most"), &machine.data());
}
