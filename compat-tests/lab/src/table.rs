//! Tables of runs, for people.

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

use crate::{
    record::{Measure, Record},
    statistics::Spread,
};

/// An empty table.
pub(crate) fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic).set_header(head);
    table
}

/// Whether all runs have held, or how many.
pub(crate) fn held(runs: &[Record]) -> String {
    let held = runs.iter().filter(|record| record.held()).count();
    let mark = if held == runs.len() { "✓" } else { "✗" };
    if runs.len() == 1 { mark.to_owned() } else { format!("{mark} {held}/{}", runs.len()) }
}

/// A measure over all runs: the middle, and from where to where if they differ.
pub(crate) fn shown(runs: &[Record], name: &str) -> String {
    let measures = || runs.iter().filter_map(|record| record.measure(name));
    let spread = |number: &dyn Fn(&Measure) -> Option<f64>, show: &dyn Fn(f64) -> String| {
        let Some(spread) = Spread::of(measures().filter_map(number)) else { return String::new() };
        let (least, middle, most) = (show(spread.least), show(spread.middle), show(spread.most));
        if least == most { middle } else { format!("{middle} ({least} to {most})") }
    };
    match measures().next() {
        None => "-".to_owned(),
        Some(Measure::Time(_)) => spread(
            &|measure| if let Measure::Time(time) = measure { Some(time.as_secs_f64()) } else { None },
            &|seconds| if seconds < 1.0 { format!("{:.0} ms", seconds * 1e3) } else { format!("{seconds:.2} s") },
        ),
        Some(Measure::BytesPerSecond(_)) => spread(
            &|measure| if let Measure::BytesPerSecond(speed) = measure { Some(speed / 1e6) } else { None },
            &|speed| if speed < 10.0 { format!("{speed:.2}") } else { format!("{speed:.0}") },
        ),
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        Some(Measure::Count(_)) => {
            spread(&|measure| if let Measure::Count(count) = measure { Some(*count as f64) } else { None }, &|count| {
                format!("{count:.0}")
            })
        }
        Some(Measure::Text(_)) => {
            let mut texts: Vec<&str> = Vec::new();
            for measure in measures() {
                if let Measure::Text(text) = measure
                    && !texts.contains(&text.as_str())
                {
                    texts.push(text);
                }
            }
            texts.join(", ")
        }
    }
}

/// All measures over all runs, one per line.
pub(crate) fn measured(runs: &[Record]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in runs.iter().flat_map(|record| &record.measures) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let lines: Vec<_> = names.into_iter().map(|name| format!("{name}: {}", shown(runs, name))).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn runs(times: &[u64]) -> Vec<Record> {
        let record = |&millis: &u64| {
            let mut record = Record::default();
            record.time("stall", Duration::from_millis(millis));
            record.text("path", if millis > 1000 { "relayed" } else { "direct" });
            record
        };
        times.iter().map(record).collect()
    }

    #[test]
    fn one_run_is_a_value_and_several_are_a_spread() {
        assert_eq!(shown(&runs(&[20]), "stall"), "20 ms");
        assert_eq!(shown(&runs(&[20, 3000, 40]), "stall"), "40 ms (20 ms to 3.00 s)");
        assert_eq!(shown(&runs(&[20, 3000]), "path"), "direct, relayed");
        assert_eq!(shown(&runs(&[20]), "nothing"), "-");
    }

    #[test]
    fn a_case_that_failed_once_is_marked() {
        let mut all = runs(&[1, 2, 3]);
        assert_eq!(held(&all), "✓ 3/3");
        all[1].fail("no");
        assert_eq!(held(&all), "✗ 2/3");
        assert_eq!(held(&all[1..2]), "✗");
    }
}
