//! `conversion watch`: a progress bar on a terminal, elsewhere each change.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{failure::Failure, output::PrintFormat};
use crate::{
    client::Watch,
    proto::{Conversion, ConversionStatus, WatchConversionResponse},
};

/// Follows a conversion to its end, and prints it.
pub(super) async fn show(mut watch: Watch, output: PrintFormat) -> Result<(), Failure> {
    let bar = (output == PrintFormat::Text && io::stderr().is_terminal()).then(progress_bar);
    let mut last = WatchConversionResponse::default();
    while let Some(conversion) = watch.next().await? {
        let answer = WatchConversionResponse { conversion: Some(conversion) };
        if let (Some(bar), Some(conversion)) = (&bar, &answer.conversion) {
            advance(bar, conversion);
        } else {
            output.print_one_of_many(&answer)?;
        }
        last = answer;
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
        output.print(&last)?;
    }
    match last.conversion.map(|conversion| conversion.status()) {
        Some(ConversionStatus::Finished) => Ok(()),
        _ => Err(Failure::No),
    }
}

fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:<12} {wide_bar} {percent:>3} %  {elapsed}");
    let bar = ProgressBar::new(100).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}

fn advance(bar: &ProgressBar, conversion: &Conversion) {
    bar.set_position(u64::try_from(conversion.converted_percentage).unwrap_or_default());
    // Escaped, so that an upstream's text does not move the cursor.
    bar.set_message(conversion.upstream_status.escape_debug().to_string());
}
