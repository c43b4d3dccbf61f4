//! What `conversion watch` shows: a progress bar where a person looks, each change elsewhere.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, output::Output};
use crate::{
    client::Watch,
    proto::{Conversion, ConversionStatus},
};

/// Follows a conversion to its end, and prints it.
pub(super) async fn show(mut watch: Watch, output: Output) -> Result<(), Failure> {
    let bar = (output == Output::Text && io::stderr().is_terminal()).then(progress_bar);
    let mut last = None;
    while let Some(conversion) = watch.next().await? {
        match &bar {
            Some(bar) => advance(bar, &conversion),
            None => output.print_one_of_many(&conversion)?,
        }
        last = Some(conversion);
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
        last.as_ref().map_or(Ok(()), |conversion| output.print(conversion))?;
    }
    match last.map(|conversion| conversion.status()) {
        Some(ConversionStatus::Finished) => Ok(()),
        _ => Err(Failure::No),
    }
}

fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:<12} {wide_bar} {percent:>3} %  {elapsed}");
    ProgressBar::new(100).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn advance(bar: &ProgressBar, conversion: &Conversion) {
    bar.set_position(u64::try_from(conversion.converted_percentage).unwrap_or_default());
    bar.set_message(conversion.upstream_status.clone());
}
