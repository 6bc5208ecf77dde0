//! Which links may be used: the operator's list against what is known of the link that leads to a vault now. Matching
//! only; who looks at the machine is [`crate::link`].
//!
//! An entry names an interface (`wwan0`, `usb*`), a gateway (`192.168.43.1`), a network (`10.11.0.0/16`), or is the word
//! `metered`. A link fits an entry when traffic to the vault leaves through that interface, or through one that has that
//! gateway, or an address of that network: a phone is known by its old address too while traffic takes its new one.
//!
//! Promise: where the operator chose links, nothing is sent over one that is not known. No way, a way that cannot be
//! told, several ways of which one does not fit: all of these wait.

use crate::model::{LinkChoice, LinkRule, Network};
use std::fmt;
use std::net::IpAddr;

/// The link that leads to a vault now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub interface: String,
    /// To whom its packets are handed, and who else is a way out on that interface; none where the other end is on the
    /// link itself.
    pub gateways: Vec<IpAddr>,
    /// Those of its own addresses.
    pub networks: Vec<Network>,
    pub metered: Metered,
}

/// Whether bytes cost money there, as NetworkManager has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metered {
    Yes,
    No,
    /// Nobody says so: taken for not metered.
    #[default]
    Unknown,
    /// Who knows does not answer now: taken for metered until it does.
    Silent,
}

/// Whether to send now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Go,
    /// Why not, for people.
    Wait(String),
}

impl Link {
    fn fits(&self, rule: &LinkRule) -> bool {
        match rule {
            LinkRule::Interface(name) => match name.strip_suffix('*') {
                Some(begins) => self.interface.starts_with(begins),
                None => self.interface == *name,
            },
            LinkRule::Gateway(gateway) => self.gateways.iter().any(|mine| mine.to_canonical() == *gateway),
            LinkRule::Network(network) => self.networks.iter().any(|mine| network.holds(mine.address())),
            LinkRule::Metered => self.metered == Metered::Yes,
        }
    }
    fn may_fit(&self, rule: &LinkRule) -> bool {
        self.fits(rule) || (*rule == LinkRule::Metered && self.metered == Metered::Silent)
    }
}

/// `links`: those that lead to the vault now, one for each way its traffic may take.
pub fn decide(choice: &LinkChoice, links: &[Link]) -> Decision {
    if choice.is_free() {
        return Decision::Go;
    }
    if links.is_empty() {
        return Decision::Wait("no network leads to it now".to_owned());
    }
    for link in links {
        if let Some(rule) = choice.pause_on.iter().find(|rule| link.may_fit(rule)) {
            return Decision::Wait(format!("the network is {link}; pause_on has \"{rule}\""));
        }
        if !choice.only_on.is_empty() && !choice.only_on.iter().any(|rule| link.fits(rule)) {
            return Decision::Wait(format!("the network is {link}; only_on does not have it"));
        }
    }
    Decision::Go
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.interface)?;
        if let Some(gateway) = self.gateways.first() {
            write!(f, " by {gateway}")?;
        }
        f.write_str(match self.metered {
            Metered::Yes => ", metered",
            Metered::Silent => ", and NetworkManager does not answer whether it is metered",
            Metered::No | Metered::Unknown => "",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(texts: &[&str]) -> Vec<LinkRule> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }
    fn phone() -> Link {
        Link {
            interface: "wwan0".to_owned(),
            gateways: vec!["fe80::43".parse().unwrap(), "192.168.43.1".parse().unwrap()],
            networks: vec![Network::new("192.168.43.77".parse().unwrap(), 24).unwrap()],
            metered: Metered::Yes,
        }
    }
    fn cable() -> Link {
        Link {
            interface: "eth0".to_owned(),
            gateways: vec!["fe80::1".parse().unwrap()],
            networks: vec![Network::new("10.11.12.13".parse().unwrap(), 24).unwrap()],
            metered: Metered::Unknown,
        }
    }
    fn waits(choice: &LinkChoice, links: &[Link]) -> bool {
        matches!(decide(choice, links), Decision::Wait(_))
    }

    #[test]
    fn a_phone_is_told_by_its_interface_its_gateway_its_network_or_its_price() {
        for entry in ["wwan0", "wwan*", "192.168.43.1", "192.168.0.0/16", "metered"] {
            let choice = LinkChoice { pause_on: rules(&[entry]), only_on: vec![] };
            let Decision::Wait(why) = decide(&choice, &[phone()]) else { panic!("{entry}") };
            assert!(why.contains(entry) && why.contains("wwan0"), "{why}");
            assert_eq!(decide(&choice, &[cable()]), Decision::Go, "{entry}");
        }
    }

    #[test]
    fn while_nobody_answers_whether_it_is_metered_it_is_taken_for_it() {
        let silent = || Link { metered: Metered::Silent, ..cable() };
        let metered = || rules(&["metered"]);
        let choice = LinkChoice { pause_on: metered(), only_on: vec![] };
        let Decision::Wait(why) = decide(&choice, &[silent()]) else { panic!("it goes") };
        assert!(why.contains("does not answer"), "{why}");
        assert!(waits(&LinkChoice { pause_on: vec![], only_on: metered() }, &[silent()]), "nor is it known to be");
        assert_eq!(decide(&LinkChoice { pause_on: rules(&["wwan0"]), only_on: vec![] }, &[silent()]), Decision::Go);
    }

    #[test]
    fn only_the_chosen_links_are_used_and_never_one_that_is_not_known() {
        let choice = LinkChoice { pause_on: vec![], only_on: rules(&["10.11.0.0/16"]) };
        assert_eq!(decide(&choice, &[cable()]), Decision::Go);
        assert!(waits(&choice, &[phone()]));
        assert!(waits(&choice, &[cable(), phone()]), "its traffic may take either");
        assert!(waits(&choice, &[]));
        assert_eq!(decide(&LinkChoice::default(), &[]), Decision::Go, "nobody chose: it is tried");
    }

    #[test]
    fn an_entry_that_means_nothing_is_refused_by_name() {
        for bad in ["", "wwan 0", "192.168.43", "10.11.0.1/16", "10.0.0.0/33", "::/129", "a/8", "eth0:1", "1.2.3.4/+8"]
        {
            let said = bad.parse::<LinkRule>().unwrap_err();
            assert!(said.contains(&format!("'{bad}'")), "{said}");
        }
        assert!("an-interface-too-long".parse::<LinkRule>().is_err());
        assert_eq!("::ffff:10.0.0.1".parse::<LinkRule>().unwrap(), rules(&["10.0.0.1"])[0]);
    }

    proptest! {
        #[test]
        fn a_network_holds_what_shares_its_first_bits(a in any::<u32>(), b in any::<u32>(), prefix in 0u8..=32) {
            let network = Network::new(IpAddr::V4(a.into()), prefix).unwrap();
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            prop_assert_eq!(network.holds(IpAddr::V4(b.into())), a & mask == b & mask);
            prop_assert!(network.holds(IpAddr::V6(std::net::Ipv4Addr::from_bits(a).to_ipv6_mapped())));
            prop_assert!(!network.holds(IpAddr::V6(u128::from(b).into())), "of the other family");
        }

        #[test]
        fn a_network_of_the_new_family_too(a in any::<u128>(), b in any::<u128>(), prefix in 0u8..=128) {
            let (a, b) = (a | 1 << 127, b | 1 << 127);
            let network = Network::new(IpAddr::V6(a.into()), prefix).unwrap();
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            prop_assert_eq!(network.holds(IpAddr::V6(b.into())), a & mask == b & mask);
        }

        #[test]
        fn what_is_shown_reads_as_the_same_entry(a in any::<u32>(), prefix in 0u8..=32, name in "[a-z]{1,10}[0-9]{0,4}") {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            for rule in [
                LinkRule::Gateway(IpAddr::V4(a.into())),
                LinkRule::Network(Network::new(IpAddr::V4((a & mask).into()), prefix).unwrap()),
                if name == "metered" { LinkRule::Metered } else { LinkRule::Interface(name.clone()) },
            ] {
                prop_assert_eq!(rule.to_string().parse::<LinkRule>(), Ok(rule));
            }
        }

        #[test]
        fn whatever_is_written_is_read_or_refused(text in ".{0,40}") {
            let _ = text.parse::<LinkRule>();
        }

        #[test]
        fn one_way_more_never_turns_waiting_into_going(
            pause in prop::sample::subsequence(vec!["wwan0", "eth*", "10.0.0.0/8", "fe80::1", "metered"], 0..5),
            only in prop::sample::subsequence(vec!["wwan*", "eth0", "192.168.43.1", "10.11.0.0/16"], 0..4),
            first in any::<bool>(),
        ) {
            let choice = LinkChoice { pause_on: rules(&pause), only_on: rules(&only) };
            let (one, other) = if first { (phone(), cable()) } else { (cable(), phone()) };
            let (alone, both) = (waits(&choice, std::slice::from_ref(&one)), waits(&choice, &[one, other]));
            prop_assert!(!alone || both);
        }
    }
}
