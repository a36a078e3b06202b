//! Figures as a person reads them.

/// One row: what was measured, beside its control, against the aim.
#[derive(Debug)]
pub struct Row {
    /// What.
    pub what: &'static str,
    /// `ms`, `MB`, `s`.
    pub unit: &'static str,
    /// All measured values.
    pub values: Vec<f64>,
    /// The same for the control; empty where there is none.
    pub control: Vec<f64>,
    /// What is good enough; for times, of the difference of the medians.
    pub aim: Aim,
}

/// What is good enough.
#[derive(Clone, Copy, Debug)]
pub enum Aim {
    /// The median, less the control's, is at most this.
    AddedAtMost(f64),
    /// The median is at most this.
    AtMost(f64),
    /// The median is at most the control's.
    AtMostControl,
}

/// Prints all rows.
pub fn print(rows: &[Row]) {
    println!();
    println!(
        "{:<44} {:>4} {:>5} {:>9} {:>9} {:>9} {:>9} {:>9}  aim",
        "", "", "n", "median", "p95", "max", "control", "added"
    );
    for row in rows {
        let (median, control) = (quantile(&row.values, 0.5), quantile(&row.control, 0.5));
        let added = if row.control.is_empty() { f64::NAN } else { median - control };
        let (aim, met) = match row.aim {
            Aim::AddedAtMost(limit) => (format!("added <= {limit}"), added <= limit),
            Aim::AtMost(limit) => (format!("<= {limit}"), median <= limit),
            Aim::AtMostControl => ("<= control".to_owned(), median <= control),
        };
        println!(
            "{:<44} {:>4} {:>5} {:>9} {:>9} {:>9} {:>9} {:>9}  {aim}{}",
            row.what,
            row.unit,
            row.values.len(),
            shown(median),
            shown(quantile(&row.values, 0.95)),
            shown(quantile(&row.values, 1.0)),
            shown(control),
            shown(added),
            if met { "" } else { "   MISSED" },
        );
    }
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
