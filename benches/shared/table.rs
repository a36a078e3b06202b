//! Figures as a person reads them.

/// One row: what was measured, beside its control, against the aim.
#[derive(Clone, Debug)]
pub struct Row {
    /// What.
    pub what: &'static str,
    /// `ms`, `MB`, `s`, `1/s`.
    pub unit: &'static str,
    /// All measured values.
    pub values: Vec<f64>,
    /// The same for the control; empty where there is none.
    pub control: Vec<f64>,
    /// What is good enough; for times, of the difference of the medians.
    pub aim: Aim,
}

/// What is good enough.
#[allow(dead_code, reason = "each bench has its own aims")]
#[derive(Clone, Copy, Debug)]
pub enum Aim {
    /// The median, less the control's, is at most this.
    AddedAtMost(f64),
    /// The 99th percentile, less the control's, is at most this.
    AddedAtMostP99(f64),
    /// The median is at most this.
    AtMost(f64),
    /// The median is at most the control's.
    AtMostControl,
    /// A figure to know, without an aim.
    Told,
}

/// All rows, with their head.
pub fn text(rows: &[Row]) -> String {
    let mut lines = vec![format!(
        "{:<58} {:>4} {:>5} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  aim",
        "", "", "n", "median", "p95", "p99", "max", "control", "its p99", "added"
    )];
    for row in rows {
        let of = |share| (quantile(&row.values, share), quantile(&row.control, share));
        let ((median, control), (p99, control_p99)) = (of(0.5), of(0.99));
        let added = median - control;
        let (aim, met) = match row.aim {
            Aim::AddedAtMost(limit) => (format!("added <= {limit}"), added <= limit),
            Aim::AddedAtMostP99(limit) => (format!("p99 added <= {limit}"), p99 - control_p99 <= limit),
            Aim::AtMost(limit) => (format!("<= {limit}"), median <= limit),
            Aim::AtMostControl => ("<= control".to_owned(), median <= control),
            Aim::Told => ("-".to_owned(), true),
        };
        lines.push(format!(
            "{:<58} {:>4} {:>5} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  {aim}{}",
            row.what,
            row.unit,
            row.values.len(),
            shown(median),
            shown(of(0.95).0),
            shown(p99),
            shown(of(1.0).0),
            shown(control),
            shown(control_p99),
            shown(added),
            if met { "" } else { "   MISSED" },
        ));
    }
    lines.join("\n")
}

fn shown(value: f64) -> String {
    if value.is_nan() { "-".to_owned() } else { format!("{value:.3}") }
}

/// The value below which this share of all lies; NaN of nothing.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}
