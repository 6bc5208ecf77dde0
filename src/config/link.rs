//! `pause_on` and `only_on` of `[uplink]`.

use super::section::Section;
use crate::error::Result;
use crate::model::{LinkChoice, LinkRule};

pub(super) fn links(section: &mut Section) -> Result<LinkChoice> {
    let pause_on = entries(section, "pause_on")?;
    let only_on = entries(section, "only_on")?;
    Ok(LinkChoice { pause_on, only_on })
}

/// An error names the entry, and the line it stands in.
fn entries(section: &mut Section, key: &'static str) -> Result<Vec<LinkRule>> {
    let given = section.list(key)?.unwrap_or_default();
    let read = |text: &str| match text.parse::<LinkRule>()? {
        LinkRule::Metered if key == "only_on" => {
            Err("'metered' would use only links that cost money; write it into pause_on".to_owned())
        }
        rule => Ok(rule),
    };
    given.into_iter().map(|g| read(&g.value).map_err(|e| section.error(g.line, key, e))).collect()
}
