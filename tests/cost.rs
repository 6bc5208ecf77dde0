//! `panicroom cost` as people meet it: the real program on real catalogs, and no server anywhere.

#[path = "support/machine.rs"]
#[expect(dead_code, reason = "shared: each test uses its part of it")]
mod machine;

use machine::{Machine, noise};
use panicroom::catalog::Catalog;
use serde_json::Value;
use std::fs;

/// A machine whose backup is done, and whose configuration then says that the vault is a bucket. Nothing answers there:
/// whoever asks it fails.
fn with_bucket(settings: &str) -> Machine {
    let machine = Machine::new();
    fs::write(machine.data().join("big"), noise(1, 6_000_000)).unwrap();
    machine.all_safe(11);
    let (data, state) = (machine.data(), machine.state());
    let text = format!(
        "[[root]]\npath = \"{}\"\n[[vault]]\nname = \"main\"\nurl = \"s3://bucket/nas\"\n{settings}\n[state]\ndir = \"{}\"\n",
        data.display(),
        state.display()
    );
    fs::write(machine.config(), text).unwrap();
    machine
}

fn vault(machine: &Machine, more: &[&str]) -> Value {
    let document = machine.run(&[&["cost", "--json"], more].concat()).exits(0).json();
    document["vaults"][0].clone()
}

const DEEP: &str = "class = \"DEEP_ARCHIVE\"\nregion = \"us-east-1\"";

#[test]
fn a_folder_costs_nothing_and_says_so() {
    let machine = Machine::new();
    machine.all_safe(10);
    machine.run(&["cost"]).exits(0).says("costs nothing that could be known here").says("everything back");
    let bill = vault(&machine, &[]);
    assert_eq!((&bill["prices"], &bill["month"], &bill["early_delete"]), (&"own".into(), &0.0.into(), &0.0.into()));
    assert_eq!(bill["objects"].as_u64(), Some(machine.objects().iter().filter(|o| counted(&o.0)).count() as u64));
    assert_eq!(bill["roots"][0]["files"], 10);
    for speed in bill["restore"].as_array().unwrap() {
        assert_eq!((&speed["cost"]["total"], &speed["hours_first"]), (&0.0.into(), &0.0.into()));
        assert_eq!(speed["hours_last"], Value::Null, "the line was not measured");
    }
    let faster = vault(&machine, &["--downlink", "1 MB/s"]);
    assert!(faster["restore"][0]["hours_last"].as_f64().unwrap() > 0.0);
}

/// Packs and the log; the vault's own file, keys and the rescue papers are a few kilobytes.
fn counted(name: &str) -> bool {
    ["data_", "hot_", "meta_log_"].iter().any(|p| name.starts_with(p))
}

#[test]
fn a_frozen_vault_is_billed_by_class_root_and_speed_without_a_call() {
    let machine = with_bucket(DEEP);
    let bill = vault(&machine, &[]);
    assert_eq!(
        (&bill["prices"], &bill["currency"], &bill["offer"]["as_of"]),
        (&"known".into(), &"USD".into(), &"2026-08-21".into())
    );
    let packs = machine.objects().iter().filter(|o| o.0.starts_with("data_")).count() as u64;
    let cold = &bill["classes"][0];
    assert_eq!((&cold["class"], cold["objects"].as_u64()), (&"DEEP_ARCHIVE".into(), Some(packs)));
    let number = |v: &Value| v.as_f64().unwrap_or_else(|| panic!("not a number: {v} in {bill:#}"));
    let month = number(&bill["month"]);
    let parts = number(&bill["classes"][0]["month"]["total"]) + number(&bill["classes"][1]["month"]["total"]);
    assert!(month > 0.0 && (month - parts).abs() < 1e-9);
    assert!(
        (number(&bill["roots"][0]["month"]) - number(&cold["month"]["total"])).abs() < 1e-9,
        "the only root of its tier"
    );
    // Six months of storage, since all of it is new.
    let early = number(&bill["early_delete"]);
    assert!(early > 0.0 && early < 7.0 * number(&cold["month"]["total"]));
    assert!((number(&bill["year"]) - number(&bill["upload"]) - 12.0 * month).abs() < 1e-9);
    assert_eq!(bill["growth"]["bytes"], Value::Null, "the log is younger than a month");
    assert_eq!((&bill["gather"]["gather_s"], &bill["gather"]["packs_a_day"]), (&3600.into(), &24.into()));
    let speeds: Vec<&str> = bill["restore"].as_array().unwrap().iter().map(|s| s["speed"].as_str().unwrap()).collect();
    assert_eq!(speeds, ["bulk", "standard"], "there is no expedited");
    assert_eq!((&bill["restore"][0]["hours_first"], &bill["restore"][1]["hours_first"]), (&48.0.into(), &12.0.into()));
    let said =
        machine.run(&["cost"]).exits(0).says("prices of 2026-08-21").says("DEEP_ARCHIVE").says("thawed copies kept");
    said.says("not verified: ").says("billed for 180 days at least").says("2 days at most").says("12 hours at most");
}

#[test]
fn what_is_not_known_is_never_nothing() {
    let machine = with_bucket("class = \"GLACIER\"\nendpoint = \"https://s3.example.org\"");
    let bill = vault(&machine, &[]);
    assert_eq!((&bill["prices"], &bill["month"], &bill["upload"]), (&"unknown".into(), &Value::Null, &Value::Null));
    assert_eq!(bill["restore"].as_array().map(Vec::len), Some(0));
    machine.run(&["cost"]).exits(0).says("not known").says("[prices] file").says_not("0.00");
    // Of another region there is a hint, and it is marked.
    let elsewhere = with_bucket("class = \"DEEP_ARCHIVE\"\nregion = \"sa-east-1\"");
    let bill = vault(&elsewhere, &[]);
    assert_eq!((&bill["prices"], &bill["month"]), (&"elsewhere".into(), &Value::Null));
    assert_eq!(bill["restore"][0]["cost"]["total"], Value::Null);
    assert!(bill["hint"]["month"].as_f64() > Some(0.0) && bill["hint"]["offer"]["region"] == "us-east-1");
    elsewhere.run(&["cost"]).exits(0).says("sa-east-1 is not known").says("hint only, in us-east-1");
}

#[test]
fn a_list_of_ones_own_takes_the_place_of_the_shipped_one_and_a_mistake_in_it_is_named() {
    let list = |price: &str| {
        format!(
            "[[offer]]\nprovider = \"s3.example.org\"\nregion = \"*\"\nclass = \"STANDARD\"\nas_of = \"2026-11-23\"\n\
             source = \"contract\"\ncurrency = \"EUR\"\nstore_gb_month = {price}\nmin_bill_gb = 1000\nput_1000 = 0\n"
        )
    };
    let machine = with_bucket("endpoint = \"https://s3.example.org\"\n[prices]\nfile = \"mine.toml\"");
    machine.run(&["cost"]).exits(2).says("mine.toml").says("[prices] file");
    fs::write(machine.path("mine.toml"), list("0.004")).unwrap();
    let bill = vault(&machine, &["--compare"]);
    assert_eq!((&bill["month"], &bill["currency"]), (&4.0.into(), &"EUR".into()), "a terabyte at least");
    assert_eq!(bill["compare"].as_array().map(Vec::len), Some(1));
    let whole = &bill["restore"][0]["cost"];
    assert_eq!((&whole["egress"], &whole["total"]), (&Value::Null, &Value::Null));
    fs::write(machine.path("mine.toml"), list("-1")).unwrap();
    machine.run(&["cost"]).exits(2).says("mine.toml:8: ").says("store_gb_month");
    let other = machine.path("other.toml");
    fs::write(&other, list("0.008")).unwrap();
    assert_eq!(vault(&machine, &["--prices", other.to_str().unwrap()])["month"], 8.0);
}

#[test]
fn compared_with_every_offer_the_cheapest_year_stands_first() {
    let machine = with_bucket(DEEP);
    let bill = vault(&machine, &["--compare"]);
    let rows = bill["compare"].as_array().unwrap();
    let years: Vec<f64> = rows.iter().map_while(|r| r["year"].as_f64()).collect();
    assert!(years.len() > 5 && years.is_sorted(), "{years:?}");
    assert!(rows.iter().all(|r| r["offer"]["as_of"].is_string()));
    machine.run(&["cost", "--compare"]).exits(0).says(" * aws us-east-1 DEEP_ARCHIVE").says("wasabi STANDARD");
}

#[test]
fn a_vault_that_was_never_started_is_shown_as_empty_and_mistakes_are_usage() {
    let machine = Machine::bare();
    machine.run(&["cost"]).exits(0).says("not started on this machine");
    assert_eq!(vault(&machine, &[])["started"], false);
    machine.run(&["cost", "--downlink", "fast"]).exits(2).says("fast");
    machine.run(&["cost", "--config", "/nowhere/config.toml"]).exits(2);
}

#[test]
fn a_vault_by_its_address_and_the_words_is_billed_from_its_log() {
    let mut machine = Machine::new();
    machine.all_safe(10);
    machine.set_env("XDG_CACHE_HOME", machine.path("cache").to_str().unwrap());
    let url = format!("file://{}", machine.vault().display());
    let (words, bare) = (machine.words(), vault(&machine, &[]));
    let bill = vault(&machine, &["--vault", &url, "--key-file", words.to_str().unwrap()]);
    assert_eq!((&bill["bytes"], &bill["roots"], &bill["gather"]), (&bare["bytes"], &Value::Null, &Value::Null));
    assert_eq!(bill["objects"], bare["objects"]);
}

#[test]
fn a_running_daemons_catalog_is_only_looked_at() {
    let machine = Machine::new();
    let mut daemon = machine.daemon();
    daemon.until_safe(10);
    machine.run(&["cost"]).exits(0);
    daemon.stop().exits(0);
    assert!(Catalog::look(&machine.catalog()).is_ok());
}
