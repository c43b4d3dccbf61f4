//! Makes the families of metrics that are counted, from their rows in `names.rs`.

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::{Collector, MetricVec, MetricVecBuilder},
};

use super::names::{Kind, Metric, Values};

type Result<T> = std::result::Result<T, prometheus::Error>;

impl Metric {
    pub(super) fn counter(&self, registry: &Registry) -> Result<IntCounter> {
        registered(registry, self.unregistered()?)
    }

    /// For what counts before there is a registry.
    pub(super) fn unregistered(&self) -> Result<IntCounter> {
        IntCounter::with_opts(self.opts())
    }

    pub(super) fn gauge(&self, registry: &Registry) -> Result<IntGauge> {
        registered(registry, IntGauge::with_opts(self.opts())?)
    }

    pub(super) fn counters(&self, registry: &Registry) -> Result<IntCounterVec> {
        registered(registry, self.unregistered_counters()?)
    }

    pub(super) fn unregistered_counters(&self) -> Result<IntCounterVec> {
        IntCounterVec::new(self.opts(), &self.label_names())
    }

    pub(super) fn gauges(&self, registry: &Registry) -> Result<IntGaugeVec> {
        registered(registry, IntGaugeVec::new(self.opts(), &self.label_names())?)
    }

    pub(super) fn histograms(&self, registry: &Registry) -> Result<HistogramVec> {
        let Kind::Histogram(bounds) = self.kind else {
            return Err(prometheus::Error::Msg(format!("{} is no histogram", self.name)));
        };
        let opts = HistogramOpts::new(self.name, self.help).buckets(bounds.to_vec());
        registered(registry, HistogramVec::new(opts, &self.label_names())?)
    }

    /// Makes each member of a family whose labels are all closed sets, so that it is exported before its first event.
    pub(super) fn at_zero<T: MetricVecBuilder>(&self, family: &MetricVec<T>) {
        let mut combinations = vec![Vec::new()];
        for label in self.labels {
            let Values::Only(values) = label.values else { return };
            let each = |so_far: &Vec<_>| {
                values.iter().map(|value| [so_far, &[*value][..]].concat()).collect::<Vec<_>>()
            };
            combinations = combinations.iter().flat_map(each).collect();
        }
        for values in combinations {
            family.with_label_values(&values);
        }
    }

    fn opts(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    fn label_names(&self) -> Vec<&'static str> {
        self.labels.iter().map(|label| label.name).collect()
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, family: C) -> Result<C> {
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}
