//! Throughput over time as small multiples: a panel per cell, a line per leg.

use anyhow::{Result, anyhow};
use plotters::{
    backend::SVGBackend,
    chart::{ChartBuilder, SeriesLabelPosition},
    drawing::{DrawingArea, IntoDrawingArea},
    element::PathElement,
    series::LineSeries,
    style::{BLACK, Color, RGBColor, ShapeStyle, WHITE},
};

use super::{cell::Cell, results::Results, run::Run};

/// Panels beside each other.
const COLUMNS: usize = 3;

/// The size of a panel, in pixels.
const PANEL: (u32, u32) = (480, 280);

/// One for each leg, in order; told apart by those, too, who do not see all colors (Okabe and Ito 2008).
const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
];

/// The drawing, as SVG.
pub(crate) fn draw(results: &Results) -> Result<String> {
    let cells = results.cells();
    let rows = cells.len().div_ceil(COLUMNS).max(1);
    let columns = cells.len().clamp(1, COLUMNS);
    let size = (PANEL.0 * u32::try_from(columns)?, PANEL.1 * u32::try_from(rows)?);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).map_err(|error| anyhow!("{error}"))?;
        for (area, cell) in root.split_evenly((rows, columns)).iter().zip(&cells) {
            panel(area, results, cell).map_err(|error| anyhow!("{cell} cannot be drawn: {error}"))?;
        }
        root.present().map_err(|error| anyhow!("{error}"))?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type DrawError = Box<dyn std::error::Error + Send + Sync>;

fn panel(area: &Area<'_>, results: &Results, name: &str) -> Result<(), DrawError> {
    let cell: Cell = name.parse().unwrap_or(Cell::DEFAULT);
    let link = cell.bytes_per_second() / 1e6;
    let seconds = |run: &Run| run.timeline().last().map_or(0.0, |(at, _)| at);
    let runs = results.runs.iter().filter(|run| run.cell == name);
    let longest = runs.map(seconds).fold(cell.seconds, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(name, ("sans-serif", 13))
        .margin(6)
        .x_label_area_size(24)
        .y_label_area_size(36)
        .build_cartesian_2d(0.0..longest, 0.0..link * 1.3)?;
    chart.configure_mesh().x_desc("s").y_desc("MB/s").light_line_style(WHITE).max_light_lines(1).draw()?;
    let limit = LineSeries::new([(0.0, link), (longest, link)], BLACK.mix(0.3));
    chart.draw_series(limit)?;
    for (leg, color) in results.legs(name).into_iter().zip(COLORS.iter().cycle().copied()) {
        for (index, run) in results.of(name, leg).into_iter().enumerate() {
            let series = chart.draw_series(LineSeries::new(run.timeline(), color.stroke_width(1)))?;
            // Several runs of a leg have one name.
            if index == 0 {
                let style: ShapeStyle = color.stroke_width(2);
                series.label(leg).legend(move |(x, y)| PathElement::new([(x, y), (x + 12, y)], style));
            }
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.7))
        .label_font(("sans-serif", 11))
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_has_a_panel_and_every_leg_a_name() {
        let mut results = Results::default();
        for (cell, leg) in [("rtt=80", "tcp-bbr"), ("rtt=80", "p2p"), ("rtt=20", "p2p"), ("rtt=20,dir=up", "p2p")] {
            results
                .add(Run {
                    cell: cell.to_owned(),
                    leg: leg.to_owned(),
                    bytes_per_100ms: vec![100_000, 600_000, 500_000],
                    ..Run::default()
                })
                .unwrap();
        }
        let svg = draw(&results).unwrap();
        for word in ["<svg", "rtt=80", "rtt=20,dir=up", "tcp-bbr", "p2p", "MB/s"] {
            assert!(svg.contains(word), "{word}");
        }
        assert!(draw(&Results::default()).unwrap().contains("<svg"));
    }
}
