//! The config file as its operator meets it: what is right is taken, what is wrong is refused with file, line
//! and remedy, and `config/example.toml` explains every setting.

use panicroom::config::{self, Addressing, FilterList, KEYS, Priority, Reserve, Settings, VaultUrl, defaults};
use panicroom::error::{Error, Kind, Result};
use panicroom::model::{Size, Tier, TreePath};
use std::path::Path;
use std::time::Duration;

const NAME: &str = "/etc/panicroom/config.toml";
const EXAMPLE: &str = include_str!("../config/example.toml");

fn parse(text: &str) -> Result<Settings> {
    config::parse(Path::new(NAME), text, &mut |file| Err(Error::path(format!("no file expected: {}", file.display()))))
}

fn path(text: &str) -> TreePath {
    TreePath::from_bytes(text).unwrap()
}

/// Two lines for a root, three for a vault, then `more`.
fn small(root: &str, vault: &str, more: &str) -> String {
    format!(
        "[[root]]\npath = \"/data\"\n{root}\n[[vault]]\nname = \"cloud\"\nurl = \"s3://bucket/nas\"\n{vault}\n{more}"
    )
}

/// The refusal of `text`, which must be for line `line`.
fn refusal(text: &str, line: usize) -> String {
    let error = parse(text).expect_err(text);
    assert_eq!(error.kind(), Kind::Operator, "{error}");
    let said = error.to_string();
    assert!(said.starts_with(&format!("{NAME}:{line}: ")), "not line {line}: {said}\n{text}");
    assert!(said.contains("; "), "no remedy: {said}");
    said
}

#[test]
fn two_sections_are_a_whole_config_and_the_rest_is_default() {
    let settings = parse(&small("", "", "")).unwrap();
    let (root, vault) = (&settings.roots[0], &settings.vaults[0]);
    assert_eq!((&root.path, root.tier, root.priority), (&path("/data"), Tier::Cold, Priority::Normal));
    assert_eq!((root.quiet, root.quiet_max), (Duration::from_secs(30), Duration::from_secs(6 * 3600)));
    assert_eq!((root.default_excludes, root.cachedir_tag, &root.marker), (true, true, &None));
    assert!(root.filter == FilterList::Lines(vec![]) && root.filesystems.is_empty());
    assert!(
        ["*.qcow2", "*.vmdk", "*.sqlite", "*.mbox", "ibdata*"].iter().all(|g| root.fixed_chunks.contains(&(*g).into()))
    );
    assert_eq!((vault.pack_size, vault.gather), (Size::mib(25), Duration::from_secs(3600)));
    assert_eq!((&vault.limit, &vault.credentials_file, &settings.uplink.limit), (&None, &None, &None));
    assert_eq!(vault.roots, [path("/data")]);
    assert_eq!((settings.state_dir.clone(), settings.spool_size), (path("/var/lib/panicroom"), Size::mib(512)));
    assert_eq!(settings.publish_every, Duration::from_secs(3600));
    assert_eq!((settings.http_listen, settings.http_hosts.len()), (Some(([127, 0, 0, 1], 8420).into()), 0));
    assert_eq!(settings.prices_file, None);
    assert_eq!((settings.alert.lag, &settings.alert.command), (Duration::from_secs(2 * 86_400), &None));
    let days = |n: u64| Some(Duration::from_secs(n * 86_400));
    let verify = settings.verify;
    assert_eq!((verify.inventory, verify.checksum, verify.read), (days(1), days(90), days(30)));
    assert_eq!(verify.reread, None, "reading everything again is for those who ask for it");
    assert_eq!(settings.roots_of(vault).count(), 1);
}

#[test]
fn a_folder_gathers_nothing_and_a_bucket_an_hour_unless_told() {
    let folder = "[[root]]\npath = \"/data\"\n[[vault]]\nname = \"usb\"\nurl = \"file:///mnt/usb/vault\"\n";
    assert_eq!(parse(folder).unwrap().vaults[0].gather, Duration::ZERO);
    assert_eq!(parse(&format!("{folder}gather = \"5m\"")).unwrap().vaults[0].gather, Duration::from_secs(300));
    assert_eq!(parse(&small("", "gather = \"0s\"", "")).unwrap().vaults[0].gather, Duration::ZERO);
}

#[test]
fn every_setting_is_taken_as_written() {
    let text = r#"
[[root]]
path = "/volume1/photos"
tier = "hot"
priority = "first"
order = ["last **/*.iso", "  normal   ignorecase:**/my films/** "]
quiet = "2s"
quiet_max = "1h"
filter_file = "exclude.txt"
default_excludes = false
marker = ".nobackup"
cachedir_tag = false
filesystems = ["nfs4"]
fixed_chunks = ["*.img"]
walk_every = "12h"
[[root]]
path = "/volume1/photos/inner/"
filter = ["- **/tmp/**", "+ /volume1/photos/**"]
[[vault]]
name = "cloud"
url = "s3://bucket/nas"
endpoint = "https://s3.example.org"
region = "eu-central-1"
path_style = false
class = "COLD_ONE"
credentials_file = "/etc/panicroom/cloud"
pack_size = "32 MiB"
gather = "2h"
limit = "1 MB/s"
download = "2 MB/s"
roots = ["/volume1/photos/inner"]
level = 9
[[vault]]
name = "usb"
url = "file:///mnt/usb/vault"
[uplink]
limit = "2 Mbit/s"
download = "3 MB/s"
calendar = ["mon-fri 08:00-18:00 500 kbit/s", "sat,sun off"]
month = "200 GB"
day = "20 GB"
billing_day = 15
reserve = "500 MB"
polite = false
[state]
dir = "/state"
spool_size = "1 GiB"
[publish]
every = "10m"
[walk]
every = "3h"
[http]
listen = "off"
hosts = ["nas.lan", "NAS:8420"]
[alert]
command = "mail root"
ping_url = "https://hc-ping.com/abc"
lag = "3d"
[prices]
file = "prices.toml"
"#;
    let mut asked = Vec::new();
    let settings = config::parse(Path::new(NAME), text, &mut |file| {
        asked.push(file.to_owned());
        Ok(b"- **.bak\n- /volume1/\xff\n".to_vec())
    })
    .unwrap();
    assert_eq!(asked, [Path::new("/etc/panicroom/exclude.txt")]);
    let [outer, inner] = settings.roots.as_slice() else { panic!("two roots") };
    assert_eq!((outer.tier, outer.priority), (Tier::Hot, Priority::First));
    let rules: Vec<_> = outer.order.iter().map(|r| (r.priority, &*r.glob)).collect();
    assert_eq!(rules, [(Priority::Last, "**/*.iso"), (Priority::Normal, "ignorecase:**/my films/**")]);
    assert_eq!((outer.quiet, outer.quiet_max), (Duration::from_secs(2), Duration::from_secs(3600)));
    let file = FilterList::File {
        path: "/etc/panicroom/exclude.txt".into(),
        contents: b"- **.bak\n- /volume1/\xff\n".to_vec(),
    };
    assert_eq!(outer.filter, file);
    assert_eq!(inner.filter, FilterList::Lines(vec!["- **/tmp/**".into(), "+ /volume1/photos/**".into()]));
    assert_eq!(
        (outer.default_excludes, outer.cachedir_tag, outer.marker.as_deref()),
        (false, false, Some(".nobackup"))
    );
    assert_eq!(
        (outer.filesystems.as_slice(), outer.fixed_chunks.as_slice()),
        (&["nfs4".into()][..], &["*.img".into()][..])
    );
    assert_eq!((outer.walk_every.as_secs(), inner.walk_every.as_secs()), (12 * 3600, 3 * 3600));
    let [cloud, usb] = settings.vaults.as_slice() else { panic!("two vaults") };
    let VaultUrl::Bucket(bucket) = &cloud.url else { panic!("a bucket") };
    assert_eq!(
        (bucket.endpoint.as_deref(), bucket.region.as_deref()),
        (Some("https://s3.example.org"), Some("eu-central-1"))
    );
    assert_eq!((bucket.addressing, bucket.class()), (Addressing::Host, "COLD_ONE"));
    assert_eq!(cloud.credentials_file, Some(path("/etc/panicroom/cloud")));
    assert_eq!((cloud.pack_size, cloud.gather.as_secs(), cloud.level), (Size::mib(32), 7200, 9));
    assert_eq!(cloud.limit.map(panicroom::model::Rate::get), Some(1_000_000));
    assert_eq!((cloud.roots.as_slice(), usb.roots.len()), (&[path("/volume1/photos/inner")][..], 2));
    let uplink = &settings.uplink;
    assert_eq!(uplink.limit.map(panicroom::model::Rate::get), Some(250_000));
    assert_eq!(uplink.download.map(panicroom::model::Rate::get), Some(3_000_000));
    assert_eq!(cloud.download.map(panicroom::model::Rate::get), Some(2_000_000));
    let windows: Vec<_> = uplink.calendar.iter().map(ToString::to_string).collect();
    assert_eq!(windows, ["mon-fri 08:00-18:00 500 kbit/s", "sat,sun off"]);
    assert_eq!((uplink.month, uplink.day), (Some(Size(200_000_000_000)), Some(Size(20_000_000_000))));
    assert_eq!((uplink.billing_day, uplink.reserve), (15, Reserve::Bytes(Size(500_000_000))));
    assert!(!uplink.polite);
    assert_eq!((settings.state_dir.clone(), settings.spool_size), (path("/state"), Size::mib(1024)));
    assert_eq!((settings.publish_every.as_secs(), settings.http_listen), (600, None));
    assert_eq!(settings.http_hosts.iter().map(ToString::to_string).collect::<Vec<_>>(), ["nas.lan", "nas:8420"]);
    assert_eq!(settings.alert.command.as_ref().map(config::Secret::reveal), Some("mail root"));
    assert_eq!(settings.alert.lag.as_secs(), 3 * 86_400);
    assert_eq!(settings.prices_file.as_deref(), Some(Path::new("/etc/panicroom/prices.toml")), "beside the config");
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_known_one() {
    for (text, line, meant) in [
        (small("qiuet = \"1s\"", "", ""), 3, "did you mean 'quiet'?"),
        (small("", "pack-size = \"25 MiB\"", ""), 7, "did you mean 'pack_size'?"),
        (small("", "", "[alert]\n\n\nlagg = \"2d\""), 11, "did you mean 'lag'?"),
        (small("url = \"s3://x/y\"", "", ""), 3, "'url' belongs into [[vault]]"),
        (small("", "colour = \"red\"", ""), 7, "known here: name, url"),
        (small("", "", "[[roots]]\npath = \"/x\""), 8, "did you mean [[root]]?"),
        (small("", "", "[htpp]\nlisten = \"off\""), 8, "did you mean [http]?"),
        (small("", "", "[price]\nfile = \"x\""), 8, "did you mean [prices]?"),
        (small("", "", "[prices]\nfiel = \"x\""), 9, "did you mean 'file'?"),
        (small("", "", "[network]"), 8, "known are [[root]], [[vault]]"),
        ("quiet = \"1s\"\n".to_owned() + &small("", "", ""), 1, "put it below [[root]]"),
    ] {
        let said = refusal(&text, line);
        assert!(said.contains(meant), "{said}");
    }
}

#[test]
fn the_first_of_two_mistakes_is_the_one_named() {
    refusal(&small("zzz = 1\naaa = 2", "", ""), 3);
}

#[test]
fn a_value_out_of_range_or_of_the_wrong_kind_is_refused_with_the_remedy() {
    for (text, line, remedy) in [
        (small("quiet = 30", "", ""), 3, "in quotes"),
        (small("quiet = \"30\"", "", ""), 3, "write it like \"30s\""),
        (small("quiet = \"2h\"\nquiet_max = \"1h\"", "", ""), 4, "at least as long"),
        (small("tier = \"warm\"", "", ""), 3, "\"cold\", \"hot\""),
        (small("priority = \"high\"", "", ""), 3, "\"first\", \"normal\", \"last\""),
        (small("order = [\"first\"]", "", ""), 3, "write a glob behind it"),
        (small("order = [\"last **/*.iso\",\n\"sooner **/*.doc\"]", "", ""), 4, "\"first\", \"normal\", \"last\""),
        (small("default_excludes = \"yes\"", "", ""), 3, "default_excludes = true"),
        (small("filter = \"- a\"", "", ""), 3, "filter = [\"…\""),
        (small("filter = [\n  \"- a\",\n  1,\n]", "", ""), 5, "filter = [\"…\""),
        (small("filter_file = \"\"", "", ""), 3, "exclude.txt"),
        (small("filter = []\nfilter_file = \"x\"", "", ""), 4, "keep one of the two"),
        (small("marker = \"a/b\"", "", ""), 3, ".nobackup"),
        (small("walk_every = \"1s\"", "", ""), 3, "at least 1m"),
        (small("", "pack_size = \"3 MiB\"", ""), 7, "choose 4 MiB to 64 MiB"),
        (small("", "pack_size = \"65 MiB\"", ""), 7, "choose 4 MiB to 64 MiB"),
        (small("", "pack_size = \"25 apples\"", ""), 7, "25 MiB"),
        (small("", "limit = \"0\"", ""), 7, "2 Mbit/s"),
        (small("", "level = 20", ""), 7, "choose 1 (fast) to 19 (small)"),
        (small("", "level = \"9\"", ""), 7, "without quotes"),
        (small("", "class = \"DEEP_FREEZE\"", ""), 7, "did you mean"),
        (small("", "endpoint = \"example.org\"", ""), 7, "https://"),
        (small("", "roots = [\"/dota\"]", ""), 7, "did you mean '/data'?"),
        (small("", "roots = []", ""), 4, "leave it out"),
        (small("", "", "[uplink]\nlimit = \"slow\""), 9, "2 Mbit/s"),
        (small("", "", "[uplink]\ndownload = \"0\""), 9, "2 Mbit/s"),
        (small("", "", "[uplink]\ncalendar = \"sat off\""), 9, "calendar = [\"…\""),
        (small("", "", "[uplink]\ncalendar = [\n\"sat off\",\n\"sun of\"]"), 11, "'sun of'"),
        (small("", "", "[uplink]\ncalendar = [\"01:00-06:00 off\"]"), 9, "write it like \"mon-fri"),
        (small("", "", "[uplink]\ncalendar = [\"daily off\"]"), 9, "panicroom pause"),
        (small("", "", "[uplink]\nmonth = \"0\""), 9, "200 GB"),
        (small("", "", "[uplink]\nday = 20"), 9, "in quotes"),
        (small("", "", "[uplink]\nmonth = \"1 GB\"\nbilling_day = 0"), 10, "choose 1 to 31"),
        (small("", "", "[uplink]\nmonth = \"1 GB\"\nbilling_day = \"1\""), 10, "without quotes"),
        (small("", "", "[uplink]\nday = \"1 GB\"\nbilling_day = 3"), 10, "add month"),
        (small("", "", "[uplink]\nmonth = \"1 GB\"\nreserve = \"60 %\""), 10, "\"1 %\" (0 to 50)"),
        (small("", "", "[uplink]\nreserve = \"1 %\""), 9, "take it out"),
        (small("", "", "[state]\ndir = \"state\""), 9, "beginning with /"),
        (small("", "", "[state]\nspool_size = \"40 MiB\""), 9, "at least twice pack_size"),
        (small("", "", "[http]\nlisten = \"8420\""), 9, "127.0.0.1:8420"),
        (small("", "", "[http]\nhosts = \"nas.lan\""), 9, "hosts = [\"…\""),
        (small("", "", "[http]\nhosts = [\n\"nas.lan\",\n\"http://nas\"]"), 11, "no http:// and no path"),
        (small("", "", "[http]\nhosts = [\"*.lan\"]"), 9, "list every name"),
        (small("", "", "[http]\nhosts = [\"192.0.2.7\"]"), 9, "an address needs no entry"),
        (small("", "", "[alert]\nlag = \"0s\""), 9, "\"2d\""),
        (small("", "", "[alert]\nping_url = \"ping me\""), 9, "https://"),
        (small("", "", "[prices]\nfile = \"\""), 9, "prices.toml"),
        (small("", "", "[http\nlisten = \"off\""), 8, "TOML"),
        (small("", "", "[http]\nlisten = off"), 9, "TOML"),
        (small("quiet = \"1s\"\nquiet = \"2s\"", "", ""), 4, "TOML"),
    ] {
        let said = refusal(&text, line);
        assert!(said.contains(remedy), "{said}");
    }
}

#[test]
fn paths_are_absolute_and_climb_nowhere() {
    for bad in ["data", "./data", "/data/../etc", "", "~/data"] {
        let text = small("", "", "").replace("\"/data\"", &format!("\"{bad}\""));
        assert!(refusal(&text, 2).contains("absolute"), "{bad}");
    }
}

#[test]
fn a_folder_vault_takes_no_setting_of_a_bucket() {
    for key in [
        "region = \"x\"",
        "endpoint = \"http://h\"",
        "path_style = true",
        "class = \"GLACIER\"",
        "credentials_file = \"/c\"",
    ] {
        let text = small("", key, "").replace("s3://bucket/nas", "file:///mnt/usb");
        assert!(refusal(&text, 7).contains("means nothing for a folder"));
    }
}

#[test]
fn url_and_key_may_say_the_same_but_not_two_things() {
    let with =
        |region: &str| small("", &format!("region = \"{region}\""), "").replace("/nas\"", "/nas?region=eu-west-1\"");
    assert!(parse(&with("eu-west-1")).is_ok());
    assert!(refusal(&with("eu-west-2"), 7).contains("say it once"));
}

#[test]
fn twins_and_leftovers_are_refused() {
    let vault = |name: &str, url: &str| format!("[[vault]]\nname = \"{name}\"\nurl = \"{url}\"");
    for (text, line, said) in [
        (small("[[root]]\npath = \"/data/\"", "", ""), 4, "named before, in line 2"),
        (small("", "", &vault("CLOUD", "s3://other")), 9, "named before, in line 5"),
        (small("", "", &vault("two", "s3://bucket/nas/")), 9, "one place"),
        (small("[[root]]\npath = \"/more\"", "roots = [\"/data\"]", ""), 4, "goes into no vault"),
        (small("", "", &vault("local", "file:///")), 2, "lies in the folder of vault 'local'"),
        (small("", "", "[state]\ndir = \"/data\""), 2, "lies in the state folder"),
        (small("", "", &vault("own", "file:///var/lib/panicroom")), 9, "is the state folder"),
        (small("", "", "").replace("path = \"/data\"\n", ""), 1, "path is missing"),
        (small("", "", "").replace("name = \"cloud\"\n", ""), 4, "name is missing"),
        (small("", "", "").replace("\"cloud\"", "\"a/b\""), 5, "cannot name a vault"),
        ("[[root]]\npath = \"/data\"\n".to_owned(), 3, "no [[vault]]"),
        (String::new(), 1, "no [[root]]"),
        ("[root]\npath = \"/data\"\n".to_owned(), 1, "write [[root]]"),
    ] {
        let found = refusal(&text, line);
        assert!(found.contains(said), "{found}");
    }
}

#[test]
fn nested_roots_are_allowed() {
    assert_eq!(parse(&small("[[root]]\npath = \"/data/inner\"", "", "")).unwrap().roots.len(), 2);
}

#[test]
fn a_filter_file_that_cannot_be_read_is_named_with_its_line() {
    let said = refusal(&(small("filter_file = \"exclude.txt\"", "", "") + "\n# ; "), 3);
    assert!(said.contains("/etc/panicroom/exclude.txt"), "{said}");
}

#[test]
fn vaults_are_looked_at_as_often_as_is_said_or_never() {
    let text = small("", "", "[verify]\ninventory = \"6h\"\nchecksum = \"off\"\nread = \"60d\"\nreread = \"365d\"");
    let verify = parse(&text).unwrap().verify;
    assert_eq!((verify.inventory, verify.checksum), (Some(Duration::from_secs(6 * 3600)), None));
    assert_eq!(verify.read, Some(Duration::from_secs(60 * 86_400)));
    assert_eq!(verify.reread, Some(Duration::from_secs(365 * 86_400)));
    for (bad, said) in [("inventory = \"1s\"", "too often"), ("raed = \"1d\"", "did you mean 'read'?")] {
        let e = parse(&small("", "", &format!("[verify]\n{bad}"))).unwrap_err().to_string();
        assert!(e.contains(said), "{e}");
    }
}

#[test]
fn links_are_chosen_by_interface_gateway_network_or_price() {
    let settings = parse(&small("", "", "")).unwrap();
    assert!(settings.links.is_free(), "unless told, any link will do");
    let text =
        small("", "", "[uplink]\npause_on = [\"wwan*\", \"metered\"]\nonly_on = [\"192.168.1.1\", \"10.0.0.0/8\"]");
    let links = parse(&text).unwrap().links;
    let shown = |rules: &[panicroom::model::LinkRule]| rules.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(&links.pause_on), ["wwan*", "metered"]);
    assert_eq!(shown(&links.only_on), ["192.168.1.1", "10.0.0.0/8"]);
    for (line, entry) in
        [("pause_on = [\"eth0\",\n\"10.0.0.1/8\"]", "'10.0.0.1/8'"), ("only_on = [\n\"metered\"]", "'metered'")]
    {
        let said = refusal(&small("", "", &format!("[uplink]\n{line}")), 10);
        assert!(said.contains(entry), "{said}");
    }
}

#[test]
fn walks_and_processors_are_bounded_where_told() {
    let settings = parse(&small("", "", "")).unwrap();
    assert_eq!((settings.walk.hours, settings.walk.wake, settings.cpu), (None, false, config::Cpu::All));
    let text = small("", "", "[walk]\nhours = \"22:00-05:30\"\nwake = true\n[kind]\ncpu = \"50 %\"");
    let settings = parse(&text).unwrap();
    assert_eq!(settings.walk.hours.unwrap().to_string(), "22:00-05:30");
    assert_eq!((settings.walk.wake, settings.cpu), (true, config::Cpu::Percent(50)));
    for bad in
        ["[walk]\nhours = \"nights\"", "[walk]\nhours = \"02:00-02:00\"", "[kind]\ncpu = \"0\"", "[kind]\ncpu = 2"]
    {
        refusal(&small("", "", bad), 9);
    }
}

#[test]
fn the_line_is_free_unless_told_and_a_reserve_is_a_part_or_a_size() {
    let uplink = parse(&small("", "", "")).unwrap().uplink;
    assert!(uplink.calendar.is_empty() && uplink.download.is_none() && uplink.polite);
    assert_eq!((uplink.month, uplink.day, uplink.billing_day), (None, None, 1));
    assert_eq!((uplink.reserve.of(200_000_000_000), uplink.reserve.of(99)), (2_000_000_000, 0));
    assert_eq!(Reserve::Bytes(Size(600)).of(1000), 500, "never more than half");
    let none = parse(&small("", "", "[uplink]\nmonth = \"none\"\nday = \"1 GB\"\nreserve = \"0 %\"")).unwrap().uplink;
    assert_eq!((none.month, none.day, none.reserve), (None, Some(Size(1_000_000_000)), Reserve::Percent(0)));
}

#[test]
fn no_secret_shows_in_debug_output_or_refusals() {
    let text = small("", "", "[alert]\ncommand = \"curl -u me:hunter2 x\"\nping_url = \"https://h/hunter2\"");
    assert!(!format!("{:?}", parse(&text).unwrap()).contains("hunter2"));
    for bad in [
        small("", "", "[alert]\nping_url = \"hunter2\""),
        small("", "", "[alert]\ncommand = 5\nping_url = \"https://hunter2\""),
        small("", "endpoint = \"https://me:hunter2@host\"", ""),
        small("", "", "").replace("s3://", "s3://me:hunter2@"),
    ] {
        assert!(!parse(&bad).unwrap_err().to_string().contains("hunter2"));
    }
}

#[test]
fn the_example_parses_and_shows_the_defaults_it_names() {
    let settings = parse(EXAMPLE).unwrap();
    let all = uncomment(EXAMPLE);
    let uncommented: String = all.lines().filter(|l| !l.starts_with("filter = ")).flat_map(|l| [l, "\n"]).collect();
    let full = config::parse(Path::new(NAME), &uncommented, &mut |_| Ok(Vec::new())).unwrap();
    assert_eq!(full.roots[0].fixed_chunks, defaults::FIXED_CHUNKS, "the example lists the default");
    assert_eq!((full.roots[0].quiet, full.roots[0].quiet_max), (settings.roots[0].quiet, settings.roots[0].quiet_max));
    assert_eq!(full.roots[0].walk_every, defaults::WALK_EVERY);
    assert_eq!(
        (full.vaults[0].pack_size, full.vaults[0].gather, full.vaults[0].level),
        (settings.vaults[0].pack_size, settings.vaults[0].gather, settings.vaults[0].level)
    );
    assert_eq!(
        (&full.state_dir, full.spool_size, full.publish_every, full.http_listen, full.alert.lag),
        (&settings.state_dir, settings.spool_size, settings.publish_every, settings.http_listen, settings.alert.lag)
    );
    assert_eq!(full.verify, settings.verify);
}

#[test]
fn the_example_explains_every_known_key() {
    let document: toml::Table = uncomment(EXAMPLE).parse().unwrap();
    for (section, keys) in KEYS {
        let tables: Vec<&toml::Table> = match document.get(section) {
            Some(toml::Value::Array(items)) => items.iter().filter_map(toml::Value::as_table).collect(),
            Some(toml::Value::Table(table)) => vec![table],
            _ => panic!("[{section}] is missing in the example"),
        };
        for key in keys {
            assert!(tables.iter().any(|t| t.contains_key(*key)), "{key} of [{section}] is missing in the example");
        }
    }
}

/// Settings that are commented out begin with `#` and no space; prose has a space.
fn uncomment(text: &str) -> String {
    let bare = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(|line| bare(line) + "\n").collect()
}
