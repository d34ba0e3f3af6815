//! The two text formats that monitoring systems read: Prometheus's of old, version 0.0.4, and OpenMetrics 1.0.
//!
//! They differ in three things only: OpenMetrics names a counter's family without `_total`, ends with `# EOF`, and names units.

use std::fmt::{self, Display, Write as _};

use super::Histogram;

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus's text format 0.0.4.
    Prometheus,
}

impl Format {
    /// The one that an `Accept` field asks for: Prometheus's, unless OpenMetrics is named (RFC 9110 §12.5.1; weights of zero
    /// count, others do not, as who can read OpenMetrics prefers it).
    pub fn accepted(accept: Option<&str>) -> Self {
        let wants = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let named =
                parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
            named && !parts.any(|part| part.strip_prefix("q=").and_then(|q| q.parse().ok()) == Some(0.0_f32))
        };
        if accept.is_some_and(|accept| accept.split(',').any(wants)) {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What kind of values a family has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Writes families and their samples.
#[derive(Debug)]
pub(super) struct Exposition {
    format: Format,
    text: String,
    /// The family begun last, as its samples are named.
    family: &'static str,
}

/// Labels of a sample: names are ours, values anybody's.
pub(super) type Labels<'a> = &'a [(&'static str, &'a str)];

impl Exposition {
    pub(super) fn new(format: Format) -> Self {
        Self { format, text: String::with_capacity(16 * 1024), family: "" }
    }

    /// Begins a family. A counter's name ends with `_total`.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) {
        self.family = name;
        let named = match (self.format, kind) {
            (Format::OpenMetrics, Kind::Counter) => name.strip_suffix("_total").unwrap_or(name),
            (Format::OpenMetrics | Format::Prometheus, _) => name,
        };
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.text, "# HELP {named} {help}\n# TYPE {named} {word}");
        if self.format == Format::OpenMetrics
            && let Some(unit) = ["seconds", "bytes"].into_iter().find(|unit| named.ends_with(unit))
        {
            let _ = writeln!(self.text, "# UNIT {named} {unit}");
        }
    }

    /// A sample of the family.
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.line("", labels, None, value);
    }

    /// The samples of a histogram.
    pub(super) fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        for (bound, count) in histogram.cumulative() {
            self.line("_bucket", labels, Some(&Number(bound).to_string()), count);
        }
        self.line("_bucket", labels, Some("+Inf"), histogram.count());
        self.line("_sum", labels, None, histogram.sum().as_secs_f64());
        self.line("_count", labels, None, histogram.count());
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: impl Display) {
        let _ = write!(self.text, "{}{suffix}", self.family);
        let bound = bound.map(|bound| ("le", bound));
        let mut separator = '{';
        for (name, value) in labels.iter().copied().chain(bound) {
            let _ = write!(self.text, "{separator}{name}=\"{}\"", Escaped(value));
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// A bound as OpenMetrics writes it, with a point: `1.0`.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.0)
    }
}

/// A label's value.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => out.write_str("\\\\")?,
                '"' => out.write_str("\\\"")?,
                '\n' => out.write_str("\\n")?,
                other => out.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn written(format: Format) -> String {
        let mut out = Exposition::new(format);
        out.family("things_total", Kind::Counter, "Things.");
        out.sample(&[("name", "a \"b\"\\\n")], 3);
        out.family("age_seconds", Kind::Gauge, "Age.");
        out.sample(&[], -1.5);
        out.family("took_seconds", Kind::Histogram, "Time.");
        let mut histogram = Histogram::default();
        histogram.observe(Duration::from_millis(1500));
        out.histogram(&[("host", "*")], &histogram);
        out.finish()
    }

    #[test]
    fn the_formats_differ_in_counters_units_and_end() {
        let old = written(Format::Prometheus);
        assert!(old.starts_with(
            "# HELP things_total Things.\n# TYPE things_total counter\n\
             things_total{name=\"a \\\"b\\\"\\\\\\n\"} 3\n\
             # HELP age_seconds Age.\n# TYPE age_seconds gauge\nage_seconds -1.5\n"
        ));
        assert!(old.contains(
            "took_seconds_bucket{host=\"*\",le=\"1.0\"} 0\ntook_seconds_bucket{host=\"*\",le=\"5.0\"} 1\n"
        ));
        assert!(old.ends_with(
            "le=\"+Inf\"} 1\ntook_seconds_sum{host=\"*\"} 1.5\ntook_seconds_count{host=\"*\"} 1\n"
        ));
        let new = written(Format::OpenMetrics);
        assert!(new.starts_with("# HELP things Things.\n# TYPE things counter\nthings_total{"));
        assert!(new.contains("# TYPE age_seconds gauge\n# UNIT age_seconds seconds\n"));
        assert!(new.ends_with("\n# EOF\n"));
    }

    #[test]
    fn openmetrics_is_given_to_who_names_it() {
        for (accept, expected) in [
            (None, Format::Prometheus),
            (Some("text/plain"), Format::Prometheus),
            (Some("*/*"), Format::Prometheus),
            (Some("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3"), Format::OpenMetrics),
            (Some("text/plain, Application/OpenMetrics-Text"), Format::OpenMetrics),
            (Some("application/openmetrics-text;q=0"), Format::Prometheus),
        ] {
            assert_eq!(Format::accepted(accept), expected, "{accept:?}");
        }
    }
}
