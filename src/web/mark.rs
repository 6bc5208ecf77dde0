//! The small picture in a browser's tab: a door, in the colour of the mood, so that a glance at the tabs is enough.

/// The picture of that name, as SVG; `lost.svg` is for a page without connection.
pub(super) fn svg(file: &str) -> Option<String> {
    let colour = match file {
        "good.svg" => "#1c7a4a",
        "busy.svg" => "#2563b8",
        "warning.svg" => "#c77700",
        "alarm.svg" => "#c0281e",
        "lost.svg" => "#77777c",
        _ => return None,
    };
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 32 32\"><rect width=\"32\" height=\"32\" rx=\"8\" \
         fill=\"{colour}\"/><path d=\"M9 25V9a2 2 0 0 1 2-2h10a2 2 0 0 1 2 2v16M6.5 25h19\" fill=\"none\" \
         stroke=\"#fff\" stroke-width=\"2.6\" stroke-linecap=\"round\"/><circle cx=\"18.6\" cy=\"16.5\" r=\"1.7\" \
         fill=\"#fff\"/></svg>"
    ))
}
