//! Which workload was chosen, from its name or from the short options.

use std::fmt::Write;

use florin_bench::workload::{Published, WORKLOADS};
use florin_bench::{IdOrder, Shape, Workload};

use super::BenchArguments;
use crate::error::{CliError, CliResult};

/// A workload to run.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Its name in figures.
    pub name: String,
    /// What is posted.
    pub workload: Workload,
}

/// The table of workloads for the help.
pub fn table() -> String {
    let width = WORKLOADS.iter().map(|workload| workload.name.len()).max().unwrap_or(0);
    let mut text = String::from("Workloads:");
    for workload in WORKLOADS {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {:<width$}  {}", workload.name, workload.what);
    }
    text
}

/// A workload's name, as an argument.
pub fn workload_name(text: &str) -> Result<String, String> {
    match Published::find(text) {
        Some(workload) => Ok(workload.name.to_string()),
        None => {
            let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
            Err(format!("there is no such workload; there are {}", names.join(", ")))
        }
    }
}

/// An exponent of a Zipf distribution, as an argument.
pub fn exponent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(exponent) if exponent > 0.0 && exponent <= 5.0 => Ok(exponent),
        _ => Err("it must be a number above 0 and at most 5, for example 0.99".to_string()),
    }
}

/// What the arguments ask for: one workload, or the two that are compared.
pub fn choose(arguments: &BenchArguments) -> CliResult<Vec<Chosen>> {
    if arguments.compare_hot {
        return ["uniform", "hot"].into_iter().map(|name| chosen(arguments, name, None)).collect();
    }
    let name = match (arguments.hot, arguments.zipf) {
        (true, _) => "hot",
        (false, Some(_)) => "zipf",
        (false, None) => &arguments.workload,
    };
    Ok(vec![chosen(arguments, name, arguments.zipf)?])
}

fn chosen(arguments: &BenchArguments, name: &str, zipf: Option<f64>) -> CliResult<Chosen> {
    let no_such = || CliError::cannot(format!("there is no workload '{name}'"), "see `florin bench --help`");
    let published = Published::find(name).ok_or_else(no_such)?;
    let shape = zipf.map_or(published.shape, Shape::Zipf);
    let repeats_percent = arguments.repeats.unwrap_or(published.repeats_percent);
    if shape == Shape::Holds && repeats_percent > 0 {
        return Err(CliError::cannot("holds are not posted again", "leave --repeats away, or take another workload"));
    }
    let name = match zipf {
        Some(exponent) if exponent != 0.99 => format!("zipf-{exponent}"),
        _ => published.name.to_string(),
    };
    let workload = Workload {
        shape,
        repeats_percent,
        reads_percent: arguments.reads.unwrap_or(published.reads_percent),
        ids: if arguments.random_ids { IdOrder::Random } else { IdOrder::TimeOrdered },
        batch: usize::from(arguments.batch).min(shape.batch_max()),
    };
    Ok(Chosen { name, workload })
}
