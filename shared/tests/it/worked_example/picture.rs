//! The picture of the worked example: for each rule, what the newest snapshot was promised and until when its data is locked, day
//! by day.

use std::fmt::Write as _;

use jiff::Timestamp;
use shared::retention::{Day, Timeline};

/// Days across, days up.
const DAYS: f64 = 190.0;
const DATES: f64 = 364.0;
/// A panel, and the room around it.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 44.0;
const GAP: f64 = 62.0;

const STYLE: &str = "
text{font:13px system-ui,sans-serif;fill:#24292f}.small{font-size:11px;fill:#57606a}.title{font-weight:600}
.grid{stroke:#d0d7de;stroke-width:1}.today{stroke:#8c959f;stroke-width:1;stroke-dasharray:3 4}
.promise{fill:none;stroke:#bc4c00;stroke-width:2;stroke-dasharray:6 3}.lock{fill:none;stroke:#0969da;stroke-width:2}
.open{fill:#cf222e;fill-opacity:.22}.touch{fill:#0969da}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.grid{stroke:#3d444d}.today{stroke:#656c76}
.promise{stroke:#f0883e}.lock{stroke:#4493f8}.open{fill:#f85149;fill-opacity:.3}.touch{fill:#4493f8}}
";

/// The day of the year, as the example counts.
pub fn day(at: Timestamp) -> i64 {
    (at.as_second() - "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap().as_second()) / 86_400 + 1
}

struct Panel {
    top: f64,
    svg: String,
}

impl Panel {
    fn x(day: f64) -> f64 {
        LEFT + (day - 1.0) / (DAYS - 1.0) * WIDTH
    }

    fn y(&self, date: f64) -> f64 {
        self.top + HEIGHT - date / DATES * HEIGHT
    }

    fn put(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.svg, "{line}");
    }

    fn axes(&mut self, title: &str) {
        self.put(format_args!(
            r#"<text class="title" x="{LEFT}" y="{:.1}">{title}</text>"#,
            self.top - 10.0
        ));
        for date in [0.0, 91.0, 182.0, 273.0, 364.0] {
            let y = self.y(date);
            self.put(format_args!(
                r#"<line class="grid" x1="{LEFT}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/><text class="small" x="{:.1}" y="{:.1}" text-anchor="end">day {date}</text>"#,
                LEFT + WIDTH,
                LEFT - 8.0,
                y + 4.0
            ));
        }
        for day in [1.0, 22.0, 43.0, 64.0, 85.0, 106.0, 127.0, 148.0, 169.0, 190.0] {
            self.put(format_args!(
                r#"<text class="small" x="{:.1}" y="{:.1}" text-anchor="middle">{day}</text>"#,
                Self::x(day),
                self.top + HEIGHT + 16.0
            ));
        }
        self.put(format_args!(
            r#"<line class="today" x1="{:.1}" x2="{:.1}" y1="{:.1}" y2="{:.1}"/>"#,
            Self::x(1.0),
            Self::x(DAYS),
            self.y(1.0),
            self.y(DAYS)
        ));
    }

    /// A line that holds its value for a day and then jumps.
    fn steps(&mut self, class: &str, of: impl Fn(u32) -> f64) {
        let mut path = String::new();
        let mut before = f64::NAN;
        for today in 1..=190u32 {
            let (x, y) = (Self::x(f64::from(today)), self.y(of(today)));
            if today == 1 {
                let _ = write!(path, "M{x:.1} {y:.1}");
            } else if y != before {
                let _ = write!(path, "H{x:.1}V{y:.1}");
            }
            before = y;
        }
        let _ = write!(path, "H{:.1}", Self::x(DAYS));
        self.put(format_args!(r#"<path class="{class}" d="{path}"/>"#));
    }
}

fn of(days: &[Day], today: u32) -> &Day {
    &days[today as usize - 1]
}

/// What the newest snapshot was promised: its run's day and 90.
fn promised(days: &[Day], today: u32) -> f64 {
    let runs = days[..today as usize].iter().rfind(|day| day.runs > 0);
    runs.map_or(0.0, |run| f64::from(run.day) + 90.0)
}

/// Until when all of its data is locked.
#[expect(clippy::cast_precision_loss, reason = "days")]
fn locked(days: &[Day], today: u32) -> f64 {
    of(days, today).safe_until.map_or(0.0, |lock| day(lock) as f64)
}

/// One panel for each rule, the same days below each other.
pub fn draw(panels: &[(&str, &Timeline)]) -> String {
    let height = TOP + (HEIGHT + GAP) * f64::from(u32::try_from(panels.len()).unwrap()) + 24.0;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {:.0} {height:.0}" role="img" aria-label="Locks and promises under three rules: 90 days, weekly runs, data that does not change"><style>{STYLE}</style>
"#,
        LEFT + WIDTH + 16.0
    );
    for (nth, (title, timeline)) in (0u32..).zip(panels) {
        let mut panel = Panel {
            top: TOP + (HEIGHT + GAP) * f64::from(nth),
            svg: String::new(),
        };
        panel.axes(title);
        let days = &timeline.days;
        for today in (1..190).filter(|today| locked(days, *today) < promised(days, *today)) {
            let (upper, lower) = (panel.y(promised(days, today)), panel.y(locked(days, today)));
            panel.put(format_args!(
                r#"<rect class="open" x="{:.1}" y="{upper:.1}" width="{:.1}" height="{:.1}"/>"#,
                Panel::x(f64::from(today)),
                WIDTH / (DAYS - 1.0),
                lower - upper
            ));
        }
        panel.steps("promise", |today| promised(days, today));
        panel.steps("lock", |today| locked(days, today));
        for day in days.iter().filter(|day| day.refreshes + day.added_again > 0) {
            let (x, y) = (Panel::x(f64::from(day.day)), panel.y(locked(days, day.day)));
            panel.put(format_args!(
                r#"<circle class="touch" cx="{x:.1}" cy="{y:.1}" r="4"/>"#
            ));
        }
        svg.push_str(&panel.svg);
    }
    let _ = writeln!(
        svg,
        r#"<text class="small" x="{LEFT}" y="{:.1}">Across: day of the year. Up: locked until. Blue: all data of the newest snapshot, with a dot where</text>
<text class="small" x="{LEFT}" y="{:.1}">locks were moved or data was sent again. Dashed: what that snapshot was promised. Red: promised, not</text>
<text class="small" x="{LEFT}" y="{:.1}">locked. Dotted: today.</text>
</svg>"#,
        height - 42.0,
        height - 26.0,
        height - 10.0
    );
    svg
}
