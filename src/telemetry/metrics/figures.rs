//! Figures that are looked up when someone asks for the metrics, so that no call pays for them.

use std::collections::HashMap;

use prometheus::{
    Registry,
    core::{Collector, Desc},
    proto::{Counter, Gauge, LabelPair, Metric as Sample, MetricFamily, MetricType},
};

use super::names::{Kind, Metric};

/// What a look has found.
pub(crate) struct Figures<'a> {
    metrics: &'a [Metric],
    found: Vec<Vec<Sample>>,
}

impl Figures<'_> {
    /// A metric's value, for these values of its labels.
    pub(crate) fn set(&mut self, metric: Metric, labels: &[&str], value: f64) {
        let Some(place) = self.metrics.iter().position(|one| one.name == metric.name) else { return };
        let pair = |(label, value): (&super::names::Label, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name(label.name.to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        let mut pairs: Vec<_> = metric.labels.iter().zip(labels).map(pair).collect();
        pairs.sort_by(|a, b| a.name().cmp(b.name()));
        let mut sample = Sample::from_label(pairs);
        if is_counter(metric) {
            let mut counter = Counter::default();
            counter.set_value(value);
            sample.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            sample.set_gauge(gauge);
        }
        self.found[place].push(sample);
    }
}

/// Looks for some metrics' figures.
struct Look<F> {
    metrics: &'static [Metric],
    descriptions: Vec<Desc>,
    find: F,
}

impl<F: Fn(&mut Figures<'_>) + Send + Sync> Collector for Look<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut figures = Figures { metrics: self.metrics, found: vec![Vec::new(); self.metrics.len()] };
        (self.find)(&mut figures);
        self.metrics.iter().zip(figures.found).map(|(metric, found)| family(*metric, found)).collect()
    }
}

/// Exports what `look` finds of these metrics. A second look for one of them is an error.
pub(super) fn export(
    registry: &Registry,
    metrics: &'static [Metric],
    look: impl Fn(&mut Figures<'_>) + Send + Sync + 'static,
) -> Result<(), prometheus::Error> {
    let describe = |metric: &Metric| {
        let labels = metric.labels.iter().map(|label| label.name.to_owned()).collect();
        Desc::new(metric.name.to_owned(), metric.help.to_owned(), labels, HashMap::new())
    };
    let descriptions = metrics.iter().map(describe).collect::<Result<_, _>>()?;
    registry.register(Box::new(Look { metrics, descriptions, find: look }))
}

const fn is_counter(metric: Metric) -> bool {
    matches!(metric.kind, Kind::Counter)
}

fn family(metric: Metric, found: Vec<Sample>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(metric.name.to_owned());
    family.set_help(metric.help.to_owned());
    family.set_field_type(if is_counter(metric) { MetricType::COUNTER } else { MetricType::GAUGE });
    family.set_metric(found);
    family
}
