//! Prometheus' text format, version 0.0.4.

use std::fmt::Write;

/// What a family of metrics is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bound.
    Histogram,
}

/// A page being written: a family, then its samples, then the next family.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// Begins the family `name`. Each family is begun once.
    pub fn family(&mut self, name: &str, help: &str, shape: Shape) {
        let shape = match shape {
            Shape::Counter => "counter",
            Shape::Gauge => "gauge",
            Shape::Histogram => "histogram",
        };
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {shape}"));
    }

    /// Writes one value. Values of labels may be any text; names are the caller's promise.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        self.labels(labels);
        self.line(format_args!(" {}", Number(value)));
    }

    /// Writes a histogram: `counts` has one number for each of `bounds` and one for what is
    /// above, not summed up; `sum` is the sum of all values.
    pub fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        bounds: &[f64],
        counts: &[u64],
        sum: f64,
    ) {
        let mut total = 0;
        let bucket = format!("{name}_bucket");
        for (at, count) in counts.iter().enumerate() {
            total += count;
            let bound = bounds.get(at).copied().unwrap_or(f64::INFINITY);
            let bound = Number(bound).to_string();
            let labels = [labels, &[("le", bound.as_str())]].concat();
            self.sample(&bucket, &labels, total as f64);
        }
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, total as f64);
    }

    /// The finished page.
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn labels(&mut self, labels: &[(&str, &str)]) {
        for (at, (name, value)) in labels.iter().enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.text.push_str(r"\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str(r"\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("writing to a string does not fail");
    }
}

/// A number as the format has it.
struct Number(f64);

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == f64::INFINITY {
            f.write_str("+Inf")
        } else {
            write!(f, "{}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_prometheus_text() {
        let mut page = Page::default();
        page.family("a_total", "Help\nme", Shape::Counter);
        page.sample("a_total", &[], 3.0);
        page.sample("a_total", &[("x", "a\"b\\c\nd"), ("y", "")], 1.5);
        page.family("h", "Times", Shape::Histogram);
        page.histogram("h", &[("x", "1")], &[0.5, 1.0], &[1, 0, 2], 7.25);
        let lines = [
            r"# HELP a_total Help\nme",
            "# TYPE a_total counter",
            "a_total 3",
            r#"a_total{x="a\"b\\c\nd",y=""} 1.5"#,
            "# HELP h Times",
            "# TYPE h histogram",
            r#"h_bucket{x="1",le="0.5"} 1"#,
            r#"h_bucket{x="1",le="1"} 1"#,
            r#"h_bucket{x="1",le="+Inf"} 3"#,
            r#"h_sum{x="1"} 7.25"#,
            r#"h_count{x="1"} 3"#,
        ];
        assert_eq!(page.finish().lines().collect::<Vec<_>>(), lines);
    }
}
