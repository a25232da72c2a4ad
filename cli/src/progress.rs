//! Progress bars on stderr, hidden when it is not a terminal.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::amount::format_count;

/// A bar over `total` things of a kind, such as `rows`.
pub fn bar(total: u64, doing: &str, things: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let template = format!("  {{msg:12}} {{bar:30}} {{human_pos}}/{{human_len}} {things}, {{rate}}/s, {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        let rate = |state: &ProgressState, out: &mut dyn Write| {
            // A line that cannot be drawn is not worth an error.
            let _ = out.write_str(&format_count(state.per_sec() as u64));
        };
        bar.set_style(style.with_key("rate", rate).progress_chars("━╸ "));
    }
    bar.set_message(doing.to_string());
    bar
}

/// A bar over bytes.
pub fn bytes(total: u64, doing: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    if let Ok(style) =
        ProgressStyle::with_template("  {msg:12} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left")
    {
        bar.set_style(style.progress_chars("━╸ "));
    }
    bar.set_message(doing.to_string());
    bar
}

/// A turning wheel for work of unknown length.
pub fn spinner(doing: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_message(doing.to_string());
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    bar
}
