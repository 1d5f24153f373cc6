//! One picture of a run: what waits, the tasks, and the slots that are busy.

use std::fmt::Write as _;

use super::outcome::{Outcome, Point};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 690.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 112.0;
/// A panel, and the gap below it with the next one's title.
const PANEL: f64 = 140.0;
const GAP: f64 = 42.0;
/// More points than pixels show nothing more.
const POINTS: usize = 800;

/// Without variables, so that viewers that know little CSS show it too.
const STYLE: &str = "\
svg{background:#fbfaf7;font:13px system-ui,sans-serif}text{fill:#23252b}.soft{fill:#6a6d76}
.title{font-size:19px;font-weight:600}.panel{font-weight:600}.name1{fill:#2f6fb0}.name2{fill:#c2571a}
.grid{stroke:#dcd9d2;stroke-width:1}.end{stroke:#6a6d76;stroke-dasharray:2 4}
.area{fill:#2f6fb0;fill-opacity:.28;stroke:none}.one{fill:none;stroke:#2f6fb0;stroke-width:1.8;stroke-linejoin:round}
.two{fill:none;stroke:#c2571a;stroke-width:1.8;stroke-dasharray:5 3}
@media(prefers-color-scheme:dark){svg{background:#16181d}text{fill:#e9e7e2}.soft{fill:#9a9da6}
.name1{fill:#6cabe6}.name2{fill:#f09a5c}.grid{stroke:#33363e}.end{stroke:#9a9da6}
.area{fill:#6cabe6}.one{stroke:#6cabe6}.two{stroke:#f09a5c}}";

/// A panel: two lines over time, the first one with its area.
struct Panel {
    title: &'static str,
    names: [&'static str; 2],
    values: fn(&Point, f64) -> [f64; 2],
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "Batches",
        names: ["in the queue and at work", "at work"],
        values: |point, _| [f64::from(point.waiting) + f64::from(point.running), f64::from(point.running)],
    },
    Panel {
        title: "Tasks",
        names: ["running", "desired"],
        values: |point, _| [f64::from(point.tasks), f64::from(point.desired)],
    },
    Panel {
        title: "Slots",
        names: ["busy", "there are"],
        values: |point, slots| [f64::from(point.running), f64::from(point.tasks) * slots],
    },
];

/// Draws a run of tasks with so many slots. The heading is plain text.
pub fn svg(outcome: &Outcome, slots: u32, heading: [&str; 2]) -> String {
    let points = thinned(&outcome.timeline);
    let end = points.last().map_or(1.0, |point| point.at).max(1.0);
    let x = |at: f64| LEFT + at / end * (WIDTH - LEFT - RIGHT);
    let [title, below] = heading.map(escaped);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n\
         <style>{STYLE}</style>\n<text class=\"title\" x=\"{LEFT}\" y=\"38\">{title}</text>\n\
         <text class=\"soft\" x=\"{LEFT}\" y=\"60\">{below}</text>\n"
    );
    let (step, unit, name) = time_steps(end);
    for (n, panel) in PANELS.iter().enumerate() {
        let top = TOP + n as f64 * (PANEL + GAP);
        let bottom = top + PANEL;
        let values: Vec<[f64; 2]> = points.iter().map(|point| (panel.values)(point, f64::from(slots))).collect();
        let most = nice(values.iter().flatten().copied().fold(1.0, f64::max));
        let y = |value: f64| bottom - value / most * PANEL;
        let [first, second] = panel.names;
        let _ = writeln!(
            out,
            "<text class=\"panel\" x=\"{LEFT}\" y=\"{:.1}\">{} <tspan class=\"name1\" dx=\"10\">\u{2014} {first}</tspan>\
             <tspan class=\"name2\" dx=\"10\">\u{2504} {second}</tspan></text>",
            top - 12.0,
            panel.title
        );
        for part in 0..=2 {
            let value = most * f64::from(part) / 2.0;
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {:.1}H{:.1}\"/><text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" \
                 text-anchor=\"end\">{}</text>",
                y(value),
                WIDTH - RIGHT,
                LEFT - 8.0,
                y(value) + 4.0,
                grouped(value)
            );
        }
        let line = |which: usize| {
            let at =
                points.iter().zip(&values).map(|(point, value)| format!("{:.1} {:.1}", x(point.at), y(value[which])));
            at.collect::<Vec<_>>().join("L")
        };
        let (one, two) = (line(0), line(1));
        let _ = writeln!(
            out,
            "<path class=\"area\" d=\"M{LEFT} {bottom}L{one}L{:.1} {bottom}Z\"/>\
             <path class=\"two\" d=\"M{two}\"/><path class=\"one\" d=\"M{one}\"/>",
            x(end)
        );
    }
    let bottom = TOP + 3.0 * PANEL + 2.0 * GAP;
    if let Some(drained) = outcome.drained {
        let at = x(drained);
        let _ = writeln!(
            out,
            "<path class=\"grid end\" d=\"M{at:.1} {TOP}V{bottom}\"/>\
             <text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">drained</text>",
            at - 5.0,
            TOP + 14.0
        );
    }
    let mut at = 0.0;
    while at <= end {
        let _ = writeln!(
            out,
            "<text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(at),
            bottom + 20.0,
            at / unit
        );
        at += step;
    }
    let _ = writeln!(
        out,
        "<text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name} since the start</text>\n</svg>",
        f64::midpoint(LEFT, WIDTH - RIGHT),
        bottom + 42.0
    );
    out
}

/// As many points as can be seen; of each stretch the one with the most work.
fn thinned(points: &[Point]) -> Vec<Point> {
    let stretch = points.len().div_ceil(POINTS).max(1);
    let most =
        |points: &[Point]| points.iter().copied().max_by_key(|point| point.waiting.saturating_add(point.running));
    points.chunks(stretch).filter_map(most).collect()
}

/// The distance of marks on the axis of time, in seconds, what their unit is, and its name.
fn time_steps(end: f64) -> (f64, f64, &'static str) {
    let (unit, name) = match end {
        _ if end < 600.0 => (1.0, "seconds"),
        _ if end < 3.0 * 3600.0 => (60.0, "minutes"),
        _ if end < 4.0 * 86_400.0 => (3600.0, "hours"),
        _ => (86_400.0, "days"),
    };
    (nice(end / unit / 10.0).max(if unit == 1.0 { 1.0 } else { 0.5 }) * unit, unit, name)
}

/// The next of 1, 2, 5, 10, 20, ...
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].iter().map(|step| step * power).find(|step| *step >= value * 0.999_999).unwrap_or(value)
}

fn grouped(value: f64) -> String {
    if value.fract() > 0.0 {
        return value.to_string();
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
