//! The checks, for people.

use comfy_table::{ContentArrangement, Table, presets::NOTHING};

use super::check::Check;

/// The width where there is no terminal.
const WIDTH: u16 = 110;

/// One row for each check, its next step below it.
pub(super) fn render(checks: &[Check]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(WIDTH);
    }
    for check in checks {
        let subject = check.subject.as_ref().map_or_else(String::new, |subject| format!("{subject}: "));
        let next = check.next.as_ref().map_or_else(String::new, |next| format!("\nnext: {next}"));
        table.add_row([check.state.name(), check.topic.title(), &format!("{subject}{}{next}", check.found)]);
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::Topic;

    #[test]
    fn each_check_has_its_state_name_finding_and_next_step() {
        let shown = render(&[
            Check::ok(Topic::Sockets, "can be opened"),
            Check::failed(Topic::Relay, "it cannot be reached").of("https://r").next("look whether it runs"),
        ]);
        let lines: Vec<_> = shown.lines().map(str::trim).collect();
        assert_eq!(lines.len(), 3, "{shown}");
        assert!(lines[0].starts_with("ok") && lines[0].ends_with("can be opened"), "{shown}");
        assert!(lines[1].starts_with("failed") && lines[1].contains("relay") && lines[1].contains("https://r: it"));
        assert_eq!(lines[2], "next: look whether it runs");
    }
}
